"""CMA-ES: its population, its restarts, and what it says of its distribution."""

from __future__ import annotations

import numpy as np
import pytest
from small_searches import play

from rl.agents import CMAES
from rl.proxies import Quadratic

IDENTITY = np.array([0.2, 0.8, 0.5])


def test_the_first_samples_are_normal_around_the_identity() -> None:
    agent = CMAES(np.full(2, 0.5), seed=0, sigma=0.05)
    np.testing.assert_array_equal(agent.spread, [0.05, 0.05])
    thetas = agent.ask(2000)
    np.testing.assert_allclose(thetas.mean(axis=0), 0.5, atol=0.005)
    np.testing.assert_allclose(thetas.std(axis=0), 0.05, rtol=0.06)


def test_after_convergence_it_starts_elsewhere_and_keeps_what_it_found() -> None:
    agent = CMAES(IDENTITY, seed=0)
    task = Quadratic([0.7, 0.3, 0.1])
    agent.ask(8)
    fresh = agent.spread
    for _ in range(200):
        play(agent, task, rounds=1, samples=8)
        if np.allclose(agent.spread, fresh, rtol=1e-6):
            break
    else:
        pytest.fail("never restarted")
    np.testing.assert_allclose(agent.mean, task.optimum, atol=1e-4)
    assert abs(agent.ask(8).mean(axis=0) - task.optimum).max() > 0.1
    agent.tell(np.full((8, 3), 0.9), np.linspace(0.1, 0.2, 8))  # worse: not a reason to move
    np.testing.assert_allclose(agent.mean, task.optimum, atol=1e-4)
    best = np.tile(np.linspace(0.4, 0.5, 8)[:, None], 3)
    agent.tell(best, np.linspace(1.1, 1.2, 8))
    assert abs(agent.mean - task.optimum).max() > 0.05


@pytest.mark.parametrize(("sizes", "words"), [([1], "least 4 .* got 1"), ([6, 7], "6 .* got 7")])
def test_a_population_it_cannot_have_is_refused(sizes: list[int], words: str) -> None:
    agent = CMAES(IDENTITY, seed=0)
    with pytest.raises(ValueError, match=words):
        for size in sizes:
            agent.ask(size)


def test_a_lost_sample_moves_nothing() -> None:
    """Of 5 samples the third best has weight log((5 + 1) / 2) - log(3) = 0: it may as well be lost.

    Without it the mean of the distribution stands in its place, with the median score.
    """
    whole, part = CMAES(IDENTITY, seed=0), CMAES(IDENTITY, seed=0)
    scores = np.array([0.9, 0.1, 0.5, 0.8, 0.2])
    thetas = whole.ask(5)
    part.ask(5)
    whole.tell(thetas, scores)
    part.tell(thetas[[0, 1, 3, 4]], scores[[0, 1, 3, 4]])
    np.testing.assert_allclose(part.mean, whole.mean, rtol=1e-12)
