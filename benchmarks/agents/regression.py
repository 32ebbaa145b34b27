"""Gaussian-process regression of rewards over the unit cube, and how far it is to be trusted.

scikit-learn finds the kernel; the mean and the errors are computed here, in microseconds a point
(Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), chapters 2 and 5).

Shapes: N evaluations, D coordinates, S outputs.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.distance import cdist
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits

Array = NDArray[np.float64]

FOLDS = 5
"""Parts of the cross-validation."""

_LENGTHS = (0.05, 20.0)
"""Bounds of a length scale, in edges of the cube; at the upper one a coordinate hardly counts."""
_NOISE = (1e-4, 2.0)
"""Bounds of the noise's share of the variance of the rewards."""


@dataclass(frozen=True)
class Kernel:
    """amplitude * Matern-5/2(theta, theta'; lengths (D,)) + noise on the diagonal.

    Both variances are relative to that of the rewards.
    """

    amplitude: float
    lengths: Array
    noise: float

    def __call__(self, left: Array, right: Array) -> Array:
        """Covariance without noise of (N, D) and (M, D): (N, M)."""
        root = math.sqrt(5.0) * cdist(left / self.lengths, right / self.lengths)
        covariance: Array = self.amplitude * (1.0 + root + root**2 / 3.0) * np.exp(-root)
        return covariance


def fit(thetas: Array, values: Array) -> Regression:
    """Regression of values (N, S) at thetas (N, D); the first output decides the kernel.

    On one thread, so that every process of a machine gets the same bits.
    """
    with threadpool_limits(limits=1):
        return Regression(fit_kernel(thetas, values[:, 0]), thetas, values)


def held_out(thetas: Array, values: Array) -> Array:
    """(N, S): what is expected of each evaluation by a regression that has not seen its theta.

    Cross-validation in 5 parts, kernel and all: one fitted to the held-out rewards too would
    flatter. Evaluations of one theta stay together: a repeat would give the answer away.
    """
    expected = np.empty_like(values)
    _, groups = np.unique(thetas, axis=0, return_inverse=True)
    for seen, unseen in GroupKFold(FOLDS).split(thetas, groups=groups.ravel()):
        expected[unseen] = fit(thetas[seen], values[seen]).mean(thetas[unseen])
    return expected


def fit_kernel(thetas: Array, rewards: Array) -> Kernel:
    """The kernel of highest marginal likelihood for thetas (N, D) and rewards (N,)."""
    start = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(
        np.full(thetas.shape[1], 1.0), _LENGTHS, nu=2.5
    ) + WhiteKernel(0.1, _NOISE)
    model = GaussianProcessRegressor(start, normalize_y=True)
    with warnings.catch_warnings():
        # It warns of each value at a bound, as a coordinate that does not matter has; whether the
        # fit is any good is what `held_out` measures.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(thetas, rewards)
    smooth, noise = model.kernel_.k1, model.kernel_.k2
    lengths = np.asarray(smooth.k2.length_scale, dtype=np.float64)
    return Kernel(float(smooth.k1.constant_value), lengths, float(noise.noise_level))


class Regression:
    """Posterior mean of S outputs that share a kernel.

    Args:
        kernel: of `fit_kernel`.
        thetas: (N, D) in [0, 1], where the evaluations were.
        values: (N, S), what they gave.
    """

    def __init__(self, kernel: Kernel, thetas: Array, values: Array) -> None:
        self.kernel, self.thetas, self.values = kernel, thetas, values
        self._centre = values.mean(axis=0)
        covariance = kernel(thetas, thetas) + kernel.noise * np.eye(len(thetas))
        factor = cho_factor(covariance, lower=True)
        self._weights: Array = cho_solve(factor, values - self._centre)

    def mean(self, thetas: Array) -> Array:
        """Expected values at thetas (M, D): (M, S)."""
        covariance = self.kernel(thetas, self.thetas)
        # Not "@": a product on several threads rounds in another way than on one.
        expected: Array = np.einsum("mn,ns->ms", covariance, self._weights) + self._centre
        return expected
