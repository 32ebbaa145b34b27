"""Arguments, actions, observations and frames, which the environments share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded
from numpy.typing import ArrayLike

from rl.envs import LossScheduleEnv, LossSearchEnv
from rl.envs.base import measured


def _env(normalize: bool = False) -> LossScheduleEnv:
    """6 coordinates, observed as progress, reward and rmse, loss, theta."""
    return LossScheduleEnv("quadratic", metric="mAcc", normalize_action=normalize)


def test_an_action_keeps_its_digits() -> None:
    action = np.array([0, 0.1, 1, 0.2, 0.3, 0.4])
    theta = _env().theta_of(action)
    assert theta.dtype == np.float64
    np.testing.assert_array_equal(theta, [0, 0.1, 1, 0.2, 0.3, 0.4])
    theta[0] = 0.5
    assert action[0] == 0


def test_normalized_actions() -> None:
    theta = _env(normalize=True).theta_of([-1, 0, 1, -1, 0, 1])
    np.testing.assert_array_equal(theta, [0, 0.5, 1, 0, 0.5, 1])


@pytest.mark.parametrize(
    ("action", "got"),
    [
        ([0.5], r"\(1,\)"),
        ([[0.5] * 6], r"\(1, 6\)"),
        ([0.5] * 5 + [1.01], r"1\.01 at \[5\]; 1 of 6"),
        ([math.nan] * 6, r"nan at \[0\]; 6 of 6"),
    ],
)
def test_actions_that_are_none(action: ArrayLike, got: str) -> None:
    with pytest.raises(InvalidAction, match=rf"of shape \(6,\).*, got {got}"):
        _env().theta_of(action)


def test_fields_lie_where_their_bounds_are_and_are_clipped_to_them() -> None:
    env = _env()
    space, fields = env.observation_space, env.observation_fields
    assert fields == {
        "progress": slice(0, 1),
        "scores": slice(1, 3),
        "loss": slice(3, 4),
        "theta": slice(4, 10),
    }
    assert (space.low[fields["loss"]], space.high[fields["loss"]]) == (-1.0, 2.0)
    observation = env.pack(progress=2.0, scores=[-3.0, 0.5], loss=7.0, theta=np.linspace(-1, 1, 6))
    assert observation.dtype == np.float32
    assert observation[:4].tolist() == [1.0, -1.0, 0.5, 2.0]
    assert observation in space


def test_scores_that_were_not_measured() -> None:
    scores = {"rmse": math.nan, "reward": np.float64(1.5), "mIoU": -0.5}
    assert _env().score_vector(scores).tolist() == [1.0, -1.0]
    assert _env().score_vector({"rmse": -0.5}).tolist() == [-1.0, 0.0]
    assert measured(scores) == {"reward": 1.5, "mIoU": -0.5}
    assert type(measured(scores)["reward"]) is float


KINDS = pytest.mark.parametrize(
    ("kind", "length"), [(LossSearchEnv, "horizon"), (LossScheduleEnv, "steps")]
)


@KINDS
def test_steps_need_an_episode_under_way(kind: Any, length: str) -> None:
    env, action = kind(**{length: 1}), [0.5] * 12
    with pytest.raises(ResetNeeded, match=r"call reset\(\) first"):
        env.step(action)
    env.reset(seed=0)
    with pytest.raises(InvalidAction):
        env.step([0.5] * 6)
    assert env.step(action)[2]  # the refused one used nothing up
    with pytest.raises(ResetNeeded, match="the episode is over"):
        env.step(action)
    with pytest.raises(ValueError, match="length >= 1, got 0"):
        kind(**{length: 0})


@KINDS
def test_rendering_without_a_mode_says_so(kind: Any, length: str) -> None:
    with pytest.warns(UserWarning, match='render_mode="rgb_array"'):
        assert kind().render() is None
