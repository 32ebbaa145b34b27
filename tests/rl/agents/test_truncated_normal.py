"""The policy's distribution against scipy's, in value and gradient, also where it is extreme."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from rl.agents import truncated_normal

MEANS = [1e-9, 0.02, 0.25, 0.5, 0.9, 1.0 - 1e-9]


def _scipy(mean: float, sigma: float):
    return stats.truncnorm((0.0 - mean) / sigma, (1.0 - mean) / sigma, loc=mean, scale=sigma)


def _tensor(values) -> torch.Tensor:
    return torch.as_tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("sigma", [0.01, 0.2, 3.0])
@pytest.mark.parametrize("mean", MEANS)
def test_log_prob_equals_scipy(mean: float, sigma: float) -> None:
    x = np.linspace(0.0, 1.0, 41)
    ours = truncated_normal.log_prob(_tensor(x), _tensor(mean), sigma).numpy()
    np.testing.assert_allclose(ours, _scipy(mean, sigma).logpdf(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("mean", [-40.0, -1.0, 2.0, 41.0])
def test_mass_is_finite_with_a_finite_gradient_far_outside(mean: float) -> None:
    at = _tensor(mean).requires_grad_()
    mass = truncated_normal.log_mass(at, 0.2)
    mass.backward()
    assert torch.isfinite(mass)
    assert torch.isfinite(at.grad)
    nearest = -mean if mean < 0 else mean - 1.0
    # Mills: far out the mass is the density at the wall over the distance, in sigmas.
    expected = stats.norm.logpdf(nearest / 0.2) - np.log(nearest / 0.2)
    assert mass.item() == pytest.approx(expected, abs=0.1)


def test_log_prob_has_the_right_gradient() -> None:
    means = _tensor(MEANS).requires_grad_()
    x = _tensor(np.linspace(0.05, 0.95, len(MEANS)))
    assert torch.autograd.gradcheck(lambda mean: truncated_normal.log_prob(x, mean, 0.2), means)


def test_samples_are_quantiles() -> None:
    means = [0.0, 0.03, 0.5, 0.97, 1.0]
    uniform = np.random.default_rng(0).random((200, len(means)))
    samples = truncated_normal.sample(_tensor(uniform), _tensor(means), 0.2).numpy()
    expected = [
        _scipy(mean, 0.2).ppf(column) for mean, column in zip(means, uniform.T, strict=True)
    ]
    np.testing.assert_allclose(samples, np.transpose(expected), rtol=1e-9)


@pytest.mark.parametrize("uniform", [0.0, 1.0 - 2.0**-53])
@pytest.mark.parametrize("sigma", [1e-3, 0.2])
def test_extreme_draws_stay_inside(uniform: float, sigma: float) -> None:
    samples = truncated_normal.sample(_tensor([[uniform] * 3]), _tensor([0.0, 0.5, 1.0]), sigma)
    assert bool(((samples >= 0.0) & (samples <= 1.0)).all())
