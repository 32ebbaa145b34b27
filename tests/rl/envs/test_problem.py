"""What an environment's arguments mean."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from gymnasium.error import UnsupportedMode

from autoseg_core import SearchSpace
from rl.envs.problem import OncePerProcess, asked_space, check_count, check_render_mode


def test_nothing_asked_leaves_the_space_to_the_proxy() -> None:
    assert asked_space() is None


@pytest.mark.parametrize(
    ("asked", "space"),
    [
        ({"metric": "BF1"}, SearchSpace("BF1", "bezier", 1)),
        ({"surface": "linear"}, SearchSpace("mIoU", "linear", 4)),
        ({"pieces": 3}, SearchSpace("mIoU", "bezier", 3)),
        ({"metric": "mIoU+BF1"}, SearchSpace("mIoU+BF1")),
    ],
)
def test_what_is_left_out_has_a_default(asked: dict, space: SearchSpace) -> None:
    assert asked_space(**asked) == space


def test_a_task_is_built_once_and_not_pickled() -> None:
    make = OncePerProcess("quadratic", {"noise": 0.1}, SearchSpace("mAcc"))
    size = len(pickle.dumps(make))
    assert make() is make()
    copy = pickle.loads(pickle.dumps(make))
    assert copy() is not make()
    assert len(pickle.dumps(make)) == size  # though it holds a task now
    theta = np.full(6, 0.5)
    assert copy().evaluate(theta, 3) == make().evaluate(theta, 3)


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "3", None])
def test_counts(value: object) -> None:
    assert check_count("horizon", 3) == 3
    with pytest.raises(ValueError, match="horizon must be a whole number of at least 1, got"):
        check_count("horizon", value)  # type: ignore[arg-type]


def test_render_modes() -> None:
    metadata = {"render_modes": ["rgb_array"]}
    assert check_render_mode(None, metadata) is None
    assert check_render_mode("rgb_array", metadata) == "rgb_array"
    with pytest.raises(UnsupportedMode, match="unknown render_mode 'ansi'; expected None or one"):
        check_render_mode("ansi", metadata)
