"""LossSchedule-v0: one training, led step by step."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from autoseg_core import SearchSpace
from rl.envs import LossScheduleEnv
from rl.proxy import LostError, ProxyResult, TrainingStep, failed, lost

SPACE = SearchSpace("mAcc")
HALF = np.full(6, 0.5)


class _Scripted:
    """A training whose scores and losses are written down beforehand."""

    space = SPACE
    score_names = ("a", "b")

    def __init__(self, start: ProxyResult, *steps: TrainingStep) -> None:
        self.first, self.steps = start, list(steps)
        self.asked: list[tuple[list[float], float]] = []

    def start(self, seed: int) -> ProxyResult:
        self.asked.clear()
        return self.first

    def advance(self, theta: NDArray[np.float64], share: float) -> TrainingStep:
        self.asked.append((theta.tolist(), share))
        return self.steps[len(self.asked) - 1]


def _ok(score: float, loss: float = math.nan, **scores: float) -> TrainingStep:
    return TrainingStep(ProxyResult(score, scores), loss)


def _fields(env: LossScheduleEnv, observation: NDArray[np.float32]) -> dict[str, list[float]]:
    fields = env.observation_fields.items()
    return {name: observation[part].round(5).tolist() for name, part in fields}


def test_an_episode_by_hand() -> None:
    training = _Scripted(
        ProxyResult(0.3, {"a": 0.3, "b": math.nan}),
        _ok(0.5, 0.75, a=0.5),
        _ok(0.25, 9.0, a=1.5, b=0.5),
        _ok(0.75),
    )
    env = LossScheduleEnv(training, steps=3)
    observation, info = env.reset(seed=0)
    identity = SPACE.identity()
    assert _fields(env, observation) == {
        "progress": [0],
        "scores": [pytest.approx(0.3), -1],
        "loss": [-1],
        "theta": identity.astype(np.float32).round(5).tolist(),
    }
    np.testing.assert_array_equal(info["theta"], identity)
    assert (info["scores"], info["losses"]) == ({"a": 0.3}, {})

    steps = [env.step([value] * 6) for value in (0.25, 0.5, 0.75)]
    assert [step[1] for step in steps] == [0.5, -0.25, 0.5]  # counted from 0, not from the start
    assert [step[2] for step in steps] == [False, False, True]
    assert not any(step[3] for step in steps)
    fields = [_fields(env, step[0]) for step in steps]
    assert [field["progress"][0] for field in fields] == pytest.approx([1 / 3, 2 / 3, 1], abs=1e-5)
    assert [field["scores"] for field in fields] == [[0.5, -1], [1, 0.5], [-1, -1]]
    assert [field["loss"] for field in fields] == [[0.75], [2], [-1]]
    assert [field["theta"] for field in fields] == [[0.25] * 6, [0.5] * 6, [0.75] * 6]
    assert training.asked == [([value] * 6, 1 / 3) for value in (0.25, 0.5, 0.75)]
    assert steps[1][4]["losses"] == {"training": 9.0}
    assert steps[1][4]["scores"] == {"a": 1.5, "b": 0.5}
    assert steps[1][4]["seed"] == info["seed"]
    points = steps[1][4]["control_points"]
    np.testing.assert_array_equal(points, SPACE.control_points(HALF), strict=True)


def test_a_training_that_blows_up_loses_what_it_gained() -> None:
    training = _Scripted(ProxyResult(0.25), _ok(0.5), TrainingStep(failed("the loss is nan")))
    env = LossScheduleEnv(training, steps=5)
    env.reset(seed=0)
    env.step(HALF)
    observation, reward, terminated, truncated, info = env.step(HALF)
    assert (reward, terminated, truncated) == (-0.5, True, False)
    assert (info["status"], info["reason"], info["scores"]) == ("failed", "the loss is nan", {})
    assert _fields(env, observation)["scores"] == [-1, -1]
    with pytest.raises(ResetNeeded, match="over"):
        env.step(HALF)
    env.reset()
    assert env.step(HALF)[4]["status"] == "ok"


def test_a_lost_evaluation_has_no_reward() -> None:
    env = LossScheduleEnv(_Scripted(ProxyResult(0.25), TrainingStep(lost("it broke"))), steps=5)
    env.reset(seed=0)
    with pytest.raises(LostError, match="it broke"):
        env.step(HALF)


@pytest.mark.parametrize("method", ["state_dict", "observation"])
def test_there_is_no_state_before_the_first_reset(method: str) -> None:
    with pytest.raises(ResetNeeded, match=r"call reset\(\) first"):
        getattr(LossScheduleEnv(), method)()


def _noisy(**options: Any) -> LossScheduleEnv:
    return LossScheduleEnv("quadratic", {"noise": 0.05}, "mAcc", steps=4, **options)


def _shapes(**options: Any) -> LossScheduleEnv:
    return LossScheduleEnv("shapes", {"iterations": 4}, "mIoU", steps=4, **options)


def _play(env: LossScheduleEnv, actions: NDArray[np.float64]) -> list[Any]:
    """Step, and reset after the end of an episode; all that came."""
    played: list[Any] = []
    for action in actions:
        played.append(env.step(action))
        if played[-1][2]:
            played.append(env.reset())
    return played


@pytest.mark.parametrize(("make", "done"), [(_noisy, 0), (_noisy, 7), (_shapes, 3)])
def test_a_saved_episode_goes_on_exactly(make: Any, done: int, tmp_path: Path) -> None:
    env = make()
    env.reset(seed=1)
    actions = np.random.default_rng(2).random((done + 2, env.space.dim))
    _play(env, actions[:done])
    observation, state = env.observation(), env.state_dict()
    torch.save(state, tmp_path / "episode.pth")
    rest = _play(env, actions[done:])

    stored = torch.load(tmp_path / "episode.pth", weights_only=True)
    for saved in (stored, state, state):  # what goes on changes no state that was saved or loaded
        restored = make()
        restored.load_state_dict(saved)
        np.testing.assert_array_equal(restored.observation(), observation)
        assert restored.np_random_seed == env.np_random_seed
        np.testing.assert_equal(_play(restored, actions[done:]), rest)


def test_a_state_of_another_environment_is_refused() -> None:
    env = _noisy()
    env.reset(seed=1)
    other = LossScheduleEnv("quadratic", metric="mAcc", steps=5)
    with pytest.raises(ValueError, match="steps: 4 -> 5"):
        other.load_state_dict(env.state_dict())
