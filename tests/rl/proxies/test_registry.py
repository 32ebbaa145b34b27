"""A proxy given by name, by "module:factory" or as an object becomes a task with a space."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from autoseg_core import PAPER_METRICS, SearchSpace
from rl.proxies import PROXIES, Quadratic, make_task, training_of
from rl.proxies.blend import Blend
from rl.proxy import ProxyResult

SPACE = SearchSpace("mAcc", "linear")


class Bare:
    """The least that is a task: no space, no names of scores, no training."""

    def evaluate(self, theta: np.ndarray, seed: int, budget: float = 1.0) -> ProxyResult:
        return ProxyResult(0.5)


@pytest.fixture
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A user's module with factories, importable as its name."""
    (tmp_path / "own_factories.py").write_text(
        "from rl.proxies import Quadratic\n"
        "def make(noise=0.0):\n    return Quadratic([0.3, 0.7], noise=noise)\n"
        "def wrong():\n    return 3\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_factories", raising=False)
    return "own_factories"


@pytest.mark.parametrize("name", PROXIES)
def test_every_named_proxy_can_be_led_step_by_step(name: str) -> None:
    task, space = make_task(name, space=SPACE)
    assert space == SPACE and make_task(name)[1] == SearchSpace("mIoU")
    training = training_of(task)
    assert callable(training.start) and callable(training.advance)
    assert training is not training_of(task)


def test_a_factory_of_ones_own(factories: str) -> None:
    task, space = make_task(f"{factories}:make", {"noise": 0.1})
    assert isinstance(task, Quadratic) and task.noise == 0.1
    assert space == SearchSpace("mIoU")
    assert make_task(f"{factories}:make", space=SPACE)[1] == SPACE  # it has none of its own


def test_an_object_is_taken_as_it_is() -> None:
    task, own = Bare(), Quadratic(np.full(6, 0.5), space=SPACE)
    assert make_task(task) == (task, SearchSpace("mIoU"))
    assert make_task(task, space=SPACE) == (task, SPACE)
    assert make_task(own) == make_task(own, space=SPACE) == (own, SPACE)


OF_GACC = Quadratic(np.full(6, 0.5), space=SearchSpace("gAcc"))


@pytest.mark.parametrize(
    ("proxy", "kwargs", "error", "named"),
    [
        ("cubic", {}, ValueError, "cubic.*quadratic"),
        ("own_factories:wrong", {}, TypeError, "own_factories:wrong"),
        (Bare(), {"noise": 0.1}, ValueError, "noise"),
        (object(), {}, TypeError, "evaluate"),
        (OF_GACC, {}, ValueError, "gAcc.*mAcc"),
    ],
)
def test_what_is_no_proxy(
    factories: str, proxy: object, kwargs: dict, error: type[Exception], named: str
) -> None:
    with pytest.raises(error, match=named):
        make_task(proxy, kwargs, SPACE)  # type: ignore[arg-type]


def test_what_cannot_be_led_step_by_step() -> None:
    module = torch.nn.Identity()  # its attribute `training` is a bool
    for task in (Bare(), module):
        with pytest.raises(TypeError, match=type(task).__name__):
            training_of(task)
    assert Blend(Bare()).score_names == PAPER_METRICS
