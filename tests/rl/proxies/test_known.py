"""The optimum is where it is said to be, and there are traps on the way."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from autoseg_core import SearchSpace
from rl.proxies import Quadratic
from rl.proxies.known import KnownOptimum, TwoPeaks, rastrigin, two_peaks


def _climb(task: KnownOptimum, start: np.ndarray) -> tuple[np.ndarray, float]:
    bounds = [(0, 1)] * len(start)
    found = minimize(lambda theta: -task.value(theta), start, method="L-BFGS-B", bounds=bounds)
    return found.x, -float(found.fun)


@pytest.mark.parametrize("make", [rastrigin, two_peaks])
@pytest.mark.parametrize("space", [SearchSpace("mIoU"), SearchSpace("BF1", "linear")], ids=str)
def test_the_maximum_is_one_at_the_optimum_and_nowhere_else(make, space: SearchSpace) -> None:
    task = make(space)
    assert task.evaluate(task.optimum, 0).reward == 1.0
    assert task.evaluate(task.optimum, 0).scores["rmse"] == 0.0
    rewards = [task.value(x) for x in np.random.default_rng(0).random((500, space.dim))]
    assert min(rewards) >= 0.0 and max(rewards) < 1.0
    step = np.random.default_rng(1).normal(scale=0.01, size=(50, space.dim))
    assert max(task.value(x) for x in task.optimum + step) < 1.0


def test_rastrigin_has_many_local_maxima() -> None:
    task = rastrigin(SearchSpace("mAcc"))
    starts = np.random.default_rng(0).random((40, 6))
    tops = [_climb(task, start) for start in starts]
    assert len({tuple(theta.round(2)) for theta, _ in tops}) > 20
    assert np.mean([reward < 0.999 for _, reward in tops]) > 0.9


def test_two_peaks_values_by_hand() -> None:
    task = TwoPeaks([0.9, 0.9], [0.1, 0.1])
    assert task.value(np.array([0.1, 0.1])) == 0.7
    assert task.value(np.array([0.1, 0.5])) == pytest.approx(0.7 * np.exp(-0.08 / (2 * 0.1225)))
    assert task.value(np.array([0.9, 0.7])) == pytest.approx(np.exp(-0.02 / (2 * 0.04)))


def test_noise_depends_on_seed_and_theta_only() -> None:
    task, theta = Quadratic([0.5, 0.5], noise=0.01), np.array([0.1, 0.2])
    assert task.evaluate(theta, 1) == task.evaluate(theta, 1)
    assert task.evaluate(theta, 1) != task.evaluate(theta, 2)
    thetas = [np.array([x, 0.2]) for x in np.linspace(0.2, 0.8, 200)]
    errors = [task.evaluate(theta, 1).reward - task.value(theta) for theta in thetas]
    assert np.std(errors) == pytest.approx(0.01, rel=0.2)
