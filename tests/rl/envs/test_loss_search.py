"""LossSearch-v0, one candidate after the other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from autoseg_core import SearchSpace
from rl.envs import LossSearchEnv
from rl.figures import draw_frame
from rl.proxies import Quadratic

SPACE = SearchSpace("mAcc")
OPTIMUM = np.full(6, 0.5)


def _ones_fail(theta: NDArray[np.float64]) -> bool:
    return bool(theta[0] == 1.0)


def _env(**options: Any) -> LossSearchEnv:
    return LossSearchEnv(Quadratic(OPTIMUM, fails=_ones_fail, space=SPACE), **options)


def _fields(env: LossSearchEnv, observation: NDArray[np.float32]) -> dict[str, list[float]]:
    return {name: observation[part].tolist() for name, part in env.observation_fields.items()}


def test_a_step_by_hand() -> None:
    env = _env()
    observation, first = env.reset(seed=0)
    assert list(first) == ["seed"]
    assert _fields(env, observation) == {
        "last_action": SPACE.identity().astype(np.float32).tolist(),
        "last_scores": [-1, -1],
        "best": [-1],
        "budget_used": [0],
    }
    action = [0.5, 0.5, 0.5, 0.5, 0.5, 0.9]
    observation, reward, terminated, truncated, info = env.step(action)
    assert reward == pytest.approx(1 - 0.16 / 6)
    assert (terminated, truncated) == (True, False)
    assert _fields(env, observation) == {
        "last_action": np.float32(action).tolist(),
        "last_scores": np.float32([reward, math.sqrt(0.16 / 6)]).tolist(),
        "best": [np.float32(reward)],
        "budget_used": [1],
    }
    np.testing.assert_array_equal(info.pop("theta"), action)
    (points,) = info.pop("control_points")
    assert (points.shape, points.dtype) == ((5, 2), np.float64)
    np.testing.assert_allclose(points[1], [0.5, 0.5])
    assert info == {
        "scores": {"reward": reward, "rmse": pytest.approx(math.sqrt(0.16 / 6))},
        "status": "ok",
        "reason": "",
        "candidate_id": "e00000c00",
        "seed": first["seed"],
    }


def test_a_horizon_of_three() -> None:
    env = _env(horizon=3)
    env.reset(seed=0)
    env.step([0.5] * 6)
    env.reset()
    steps = [env.step([value] * 6) for value in (0.3, 0.5, 0.7)]
    assert [step[2] for step in steps] == [False, False, True]
    assert [step[4]["candidate_id"] for step in steps] == ["e00001c00", "e00001c01", "e00001c02"]
    fields = [_fields(env, step[0]) for step in steps]
    assert [field["best"][0] for field in fields] == pytest.approx([0.96, 1.0, 1.0])
    assert [field["budget_used"][0] for field in fields] == pytest.approx([1 / 3, 2 / 3, 1])
    assert [step[1] for step in steps] == pytest.approx([0.96, 1.0, 0.96])


def test_a_failed_candidate() -> None:
    env = _env(horizon=2)
    env.reset(seed=0)
    observation, reward, terminated, _, info = env.step(np.ones(6))
    assert (reward, terminated, info["status"], info["scores"]) == (0.0, False, "failed", {})
    assert "configured to fail" in info["reason"]
    assert _fields(env, observation)["last_scores"] == [-1, -1]
    assert _fields(env, observation)["best"] == [0]


def _rewards(env: LossSearchEnv, seed: int) -> list[Any]:
    """Of an episode with this seed, and of the next."""
    rewards: list[Any] = []
    for given in (seed, None):
        env.reset(seed=given)
        rewards += [env.step([value] * 6)[1] for value in (0.3, 0.6)]
    return rewards


def test_equal_seeds_give_equal_rewards_and_others_others() -> None:
    env, other = (LossSearchEnv("quadratic", {"noise": 0.05}, "mAcc", horizon=2) for _ in range(2))
    first = _rewards(env, 1)
    assert first == _rewards(other, 1) == _rewards(env, 1)
    assert len({*first, *_rewards(env, 2)}) == 8


def test_a_frame_shows_identity_last_and_best() -> None:
    env = _env(render_mode="rgb_array", horizon=2)
    env.reset(seed=0)
    env.step([0.8] * 6)
    env.step(OPTIMUM)
    env.reset()
    env.step([0.9] * 6)
    thetas = {"identity": SPACE.identity(), "last": np.full(6, 0.9), "best": OPTIMUM}
    count = [1, 2, 3]
    course = {"reward": (count, [0.91, 1.0, 0.84]), "best": (count, [0.91, 1.0, 1.0])}
    np.testing.assert_array_equal(env.render(), draw_frame(SPACE, thetas, course, "candidate"))
