"""A proxy given by name, by "module:factory" or as an object becomes a task with a space."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from autoseg_core import PAPER_METRICS, SearchSpace
from rl.proxies import PROXIES, Quadratic, make_task, training_of
from rl.proxies.blend import Blend
from rl.proxies.shapes import Shapes, ShapesTraining
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
def test_a_name_makes_a_task_of_the_space_asked_for(name: str) -> None:
    task, space = make_task(name, space=SPACE)
    assert space == SPACE
    assert callable(task.evaluate)
    assert make_task(name)[1] == SearchSpace("mIoU")


@pytest.mark.parametrize("name", PROXIES)
def test_every_named_proxy_can_be_led_step_by_step(name: str) -> None:
    task, _ = make_task(name)
    training = training_of(task)
    assert callable(training.start) and callable(training.advance)
    assert training is not training_of(task)


def test_shapes_are_trained_for_real_and_the_others_are_blends() -> None:
    kinds = {name: type(training_of(make_task(name)[0])) for name in PROXIES}
    assert kinds.pop("shapes") is ShapesTraining
    assert set(kinds.values()) == {Blend}


def test_keywords_reach_the_factory() -> None:
    task, _ = make_task("shapes", {"iterations": 3}, SPACE)
    assert isinstance(task, Shapes) and task.iterations == 3
    with pytest.raises(TypeError, match="speed"):
        make_task("shapes", {"speed": 3})


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown proxy 'cubic'; known: quadratic"):
        make_task("cubic")


def test_a_factory_of_ones_own(factories: str) -> None:
    task, space = make_task(f"{factories}:make", {"noise": 0.1})
    assert isinstance(task, Quadratic) and task.noise == 0.1
    assert space == SearchSpace("mIoU")
    assert make_task(f"{factories}:make", space=SPACE)[1] == SPACE  # it has none of its own


def test_a_factory_that_is_not_there_or_makes_no_task(factories: str) -> None:
    with pytest.raises(ImportError):
        make_task("no_such_module:make")
    with pytest.raises(AttributeError):
        make_task(f"{factories}:nothing")
    with pytest.raises(TypeError, match="wrong' gave int, which has none"):
        make_task(f"{factories}:wrong")


def test_an_object_is_taken_as_it_is() -> None:
    task = Bare()
    assert make_task(task) == (task, SearchSpace("mIoU"))
    assert make_task(task, space=SPACE) == (task, SPACE)
    own = Quadratic(np.full(6, 0.5), space=SPACE)
    assert make_task(own) == (own, SPACE)
    assert make_task(own, space=SPACE) == (own, SPACE)


def test_an_object_takes_no_keywords() -> None:
    with pytest.raises(ValueError, match=r"\['noise'\] are for a factory"):
        make_task(Bare(), {"noise": 0.1})


def test_an_object_without_evaluate_is_refused() -> None:
    with pytest.raises(TypeError, match=r"needs evaluate\(theta, seed, budget\)"):
        make_task(object())  # type: ignore[arg-type]


def test_a_task_of_another_space_is_refused() -> None:
    own = Quadratic(np.full(6, 0.5), space=SearchSpace("gAcc"))
    with pytest.raises(ValueError, match=r"thetas of .*gAcc.*asked for was .*mAcc"):
        make_task(own, space=SearchSpace("mAcc"))


def test_a_training_is_its_own_training_and_a_task_too() -> None:
    training = ShapesTraining(SPACE)
    assert training_of(training) is training
    assert make_task(training) == (training, SPACE)  # type: ignore[arg-type]


def test_what_cannot_be_led_says_how_to_make_it() -> None:
    with pytest.raises(TypeError, match=r"Bare cannot be led .*Blend\(task\)"):
        training_of(Bare())
    assert Blend(Bare()).score_names == PAPER_METRICS
