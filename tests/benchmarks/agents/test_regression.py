"""The regression is scikit-learn's, only faster; its held-out errors see what they may."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from benchmarks.agents.regression import Regression, held_out


def _data(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    thetas = rng.random((n, 3))
    smooth = np.sin(3 * thetas[:, 0]) + thetas[:, 1] ** 2
    return thetas, smooth + rng.normal(scale=0.05, size=n)


def test_the_mean_is_scikit_learns() -> None:
    thetas, rewards = _data(40)
    ours = Regression(thetas, rewards)
    kernel = ConstantKernel(ours._amplitude) * Matern(ours.lengths, nu=2.5)
    theirs = GaussianProcessRegressor(
        kernel + WhiteKernel(ours.noise), optimizer=None, normalize_y=True
    ).fit(thetas, rewards)
    points = np.random.default_rng(1).random((20, 3))
    assert ours.mean(points) == pytest.approx(theirs.predict(points), abs=1e-8)


def test_a_held_out_theta_is_not_known_from_its_repeats() -> None:
    rng = np.random.default_rng(0)
    thetas = np.repeat(rng.random((15, 3)), 2, axis=0)
    rewards = np.repeat(rng.normal(size=15), 2)  # no rule to find, only repeats
    assert np.std(rewards - held_out(thetas, rewards)) > 0.8 * rewards.std()


def test_what_a_held_out_theta_earned_plays_no_part() -> None:
    thetas, rewards = _data(20)
    lie = rewards.copy()
    lie[7] += 10.0
    honest, misled = held_out(thetas, rewards), held_out(thetas, lie)
    assert honest[7] == misled[7]
    assert not np.array_equal(honest, misled)
