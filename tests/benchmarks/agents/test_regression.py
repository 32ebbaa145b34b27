"""The regression is scikit-learn's, only faster; its held-out errors see what they may."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from benchmarks.agents.regression import Regression, fit, held_out


def _data(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    thetas = rng.random((n, 3))
    smooth = np.sin(3 * thetas[:, 0]) + thetas[:, 1] ** 2
    return thetas, np.stack([smooth + rng.normal(scale=0.05, size=n), 0.5 * smooth], axis=1)


def test_the_mean_is_scikit_learns() -> None:
    thetas, values = _data(40)
    ours = fit(thetas, values)
    kernel = ConstantKernel(ours.kernel.amplitude) * Matern(ours.kernel.lengths, nu=2.5)
    theirs = GaussianProcessRegressor(
        kernel + WhiteKernel(ours.kernel.noise), optimizer=None, normalize_y=True
    ).fit(thetas, values)
    points = np.random.default_rng(1).random((20, 3))
    assert ours.mean(points) == pytest.approx(theirs.predict(points), abs=1e-8)


def test_equal_data_give_equal_bits() -> None:
    thetas, values = _data(40)
    points = np.random.default_rng(1).random((5, 3))
    assert np.array_equal(fit(thetas, values).mean(points), fit(thetas, values).mean(points))


def test_noise_is_found_and_a_coordinate_without_effect_has_the_longest_scale() -> None:
    thetas, values = _data(150)
    regression = fit(thetas, values)
    noise = np.sqrt(regression.kernel.noise) * values[:, 0].std()
    assert noise == pytest.approx(0.05, rel=0.3)
    assert regression.kernel.lengths.argmax() == 2


def test_a_held_out_theta_is_not_known_from_its_repeats() -> None:
    rng = np.random.default_rng(0)
    thetas = np.repeat(rng.random((15, 3)), 2, axis=0)
    values = np.repeat(rng.normal(size=(15, 1)), 2, axis=0)  # no rule to find, only repeats
    assert np.std(values - held_out(thetas, values)) > 0.8 * values.std()
    known = fit(thetas, values).mean(thetas)
    assert np.std(values - known) < np.std(values - held_out(thetas, values))


@pytest.mark.parametrize("row", [0, 7, 19])
def test_what_a_held_out_theta_earned_plays_no_part(row: int) -> None:
    thetas, values = _data(20)
    lie = values.copy()
    lie[row] += 10.0
    honest, misled = held_out(thetas, values), held_out(thetas, lie)
    assert np.array_equal(honest[row], misled[row])
    assert not np.array_equal(honest, misled)


def test_a_constant_is_no_trouble() -> None:
    thetas, _ = _data(20)
    regression = fit(thetas, np.full((20, 1), 0.3))
    assert isinstance(regression, Regression)
    assert regression.mean(thetas)[:, 0] == pytest.approx(0.3)
