"""PPO: its promises (no step without information, schedules), the released update."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from small_searches import play

from rl.agents import PPO
from rl.agents.ppo_objective import LOGIT_MARGIN, logit
from rl.proxies import Quadratic

IDENTITY = np.array([1 / 4, 1 / 4, 1 / 3, 1 / 3, 1 / 2, 1 / 2])


def test_one_step_by_hand() -> None:
    # Adam's first step has size lr whatever the gradient, in the gradient's direction: towards
    # the better sample. In the first step all ratios are 1, nothing is clipped.
    agent = PPO(np.array([0.5]), seed=0, lr=0.1, epochs=1)
    agent.tell(np.array([[0.7], [0.3]]), np.array([1.0, 0.0]))
    assert agent.mean[0] == pytest.approx(1.0 / (1.0 + math.exp(-0.1)), rel=1e-6)


def test_identity_at_a_wall_can_leave_it() -> None:
    agent = PPO(np.array([0.0, 1.0]), seed=0)
    np.testing.assert_allclose(agent.mean, [LOGIT_MARGIN, 1.0 - LOGIT_MARGIN], rtol=1e-12)
    play(agent, Quadratic([0.5, 0.5]), rounds=12)
    assert np.abs(agent.mean - 0.5).max() < 0.15


@pytest.mark.parametrize("baseline", ["mean", "mu"])
@pytest.mark.parametrize("score", [0.0, 0.1])
def test_a_round_without_information_changes_nothing(baseline: str, score: float) -> None:
    agent = PPO(IDENTITY, seed=0, baseline=baseline)
    play(agent, Quadratic(np.full(6, 0.7)), rounds=2)  # Adam now has momentum
    before, scores = agent.mean, np.full(3, score)
    assert (scores - scores.mean()).any() == (score > 0.0)  # the rounding that Adam would blow up
    agent.tell(agent.ask(3), scores)
    np.testing.assert_array_equal(agent.mean, before)


def test_sigma_is_annealed_over_the_rounds_and_stays() -> None:
    agent = PPO(IDENTITY, seed=0, sigma_final=0.0, rounds=4)
    seen = []
    for _ in range(5):
        seen.append(agent.sigma)
        agent.tell(agent.ask(4), np.arange(4.0))
    np.testing.assert_allclose(seen, [0.2, 0.15, 0.1, 0.05, 0.05])


def test_warmup_by_hand() -> None:
    # Two steps of a fresh Adam with a gradient of one sign are of size rate each, to first order:
    # with a warm-up over both, taken in the middle of each, the rates are lr / 4 and 3 lr / 4.
    told = np.array([[0.7], [0.3]]), np.array([1.0, 0.0])
    steady, warm = (PPO(np.array([0.5]), seed=0, lr=1e-4, epochs=2, warmup=w) for w in (0.0, 1.0))
    for agent in (steady, warm):
        agent.tell(*told)
    logits = [logit(agent.mean)[0] for agent in (steady, warm)]
    np.testing.assert_allclose(logits, [2e-4, 1e-4], rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "value"), [("sigma", 0.0), ("clip", 1.5), ("sigma_final", 0.1), ("ratio", "all")]
)
def test_wrong_settings_are_named(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        PPO(IDENTITY, seed=0, **{name: value})


# The released update. Adam and clipping amplify rounding, so it is compared over few steps.


class ReleasedUpdateByHand:
    """Without torch: z = (x - m) / s, a = -m / s, b = (1 - m) / s, M = Phi(b) - Phi(a),

    log p = -z^2 / 2 - log M + const,   d log p / d m = (z + (phi(b) - phi(a)) / M) / s.
    """

    def __init__(self, steps: int) -> None:
        self.logits, self.steps, self.done = np.log(IDENTITY / (1 - IDENTITY)), steps, 0
        self.first, self.second = np.zeros(6), np.zeros(6)

    def learn(self, thetas: np.ndarray, scores: np.ndarray) -> np.ndarray:
        mean = 1 / (1 + np.exp(-self.logits))
        old, _ = self.likelihood(thetas, mean)
        gain = (scores - scores[0])[:, None]
        for _ in range(self.steps):
            mean = 1 / (1 + np.exp(-self.logits))
            log_p, slope = self.likelihood(thetas, mean)
            ratio = np.exp(log_p - old)
            held = ratio * gain > np.clip(ratio, 0.8, 1.2) * gain
            upwards = np.where(held, 0.0, ratio * gain * slope).sum(axis=0) / 32
            self.step(-upwards * mean * (1 - mean))
        return self.logits

    def likelihood(self, thetas: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        cdf, pdf = np.vectorize(NormalDist().cdf), np.vectorize(NormalDist().pdf)
        z, low, high = (thetas - mean) / 0.2, -mean / 0.2, (1 - mean) / 0.2
        mass = cdf(high) - cdf(low)
        return -(z**2) / 2 - np.log(mass), (z + (pdf(high) - pdf(low)) / mass) / 0.2

    def step(self, gradient: np.ndarray) -> None:
        """Adam (Kingma and Ba 2015, algorithm 1)."""
        self.done += 1
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.999 * self.second + 0.001 * gradient**2
        root = np.sqrt(self.second / (1 - 0.999**self.done))
        self.logits = self.logits - 0.2 * self.first / (1 - 0.9**self.done) / (root + 1e-8)


def test_mu_is_the_released_one_over_12_rounds() -> None:
    agent, released = PPO(IDENTITY, seed=0, baseline="mu", epochs=5), ReleasedUpdateByHand(5)
    task = Quadratic(np.full(6, 0.7), noise=0.01)
    for _ in range(12):
        thetas = agent.ask(32)
        scores = np.array([task.evaluate(theta, k).reward for k, theta in enumerate(thetas)])
        agent.tell(thetas, scores)
        mu = 1 / (1 + np.exp(-released.learn(thetas, scores)))
        np.testing.assert_allclose(agent.mean, mu, rtol=0, atol=1e-9)


def test_without_the_mean_s_reward_a_round_is_compared_with_its_own_mean() -> None:
    released, plain = PPO(IDENTITY, seed=0, baseline="mu"), PPO(IDENTITY, seed=0)
    thetas = released.ask(6)
    for agent in (released, plain):
        agent.tell(thetas[1:], np.array([0.2, 0.9, 0.4, 0.1, 0.7]))
    np.testing.assert_array_equal(released.mean, plain.mean)
