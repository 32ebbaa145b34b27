"""Gaussian-process regression of rewards over the unit cube, and how far it is to be trusted.

scikit-learn finds the kernel; the mean is computed here, in microseconds (Rasmussen and Williams,
"Gaussian Processes for Machine Learning" (2006), chapters 2 and 5).

Shapes: N evaluations, M points, D coordinates.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

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


class Regression:
    """Expected rewards, from rewards (N,) at thetas (N, D) in [0, 1].

    The kernel, amplitude * Matern-5/2(lengths (D,)) + noise on the diagonal, is that of highest
    marginal likelihood; both variances are relative to that of the rewards.
    """

    def __init__(self, thetas: Array, rewards: Array) -> None:
        self.thetas, self.rewards = thetas, rewards
        with threadpool_limits(limits=1):  # every process of a machine gets the same bits
            smooth, white = _fit_kernel(thetas, rewards)
            self.noise, self.lengths = float(white.noise_level), smooth.k2.length_scale
            self._amplitude = float(smooth.k1.constant_value)
            covariance = self._covariance(thetas) + self.noise * np.eye(len(thetas))
            factor = cho_factor(covariance, lower=True)
            self._weights: Array = cho_solve(factor, (rewards - rewards.mean())[:, None])

    def _covariance(self, points: Array) -> Array:
        """Of points (M, D) with the evaluations, without noise: (M, N)."""
        root = math.sqrt(5.0) * cdist(points / self.lengths, self.thetas / self.lengths)
        covariance: Array = self._amplitude * (1.0 + root + root**2 / 3.0) * np.exp(-root)
        return covariance

    def mean(self, points: Array) -> Array:
        """Expected rewards at points (M, D): (M,)."""
        # Not "@": a product on several threads rounds in another way than on one.
        expected = np.einsum("mn,ns->ms", self._covariance(points), self._weights)
        rewards: Array = expected[:, 0] + self.rewards.mean()
        return rewards


def _fit_kernel(thetas: Array, rewards: Array) -> tuple[Any, Any]:
    start = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(
        np.full(thetas.shape[1], 1.0), _LENGTHS, nu=2.5
    ) + WhiteKernel(0.1, _NOISE)
    model = GaussianProcessRegressor(start, normalize_y=True)
    with warnings.catch_warnings():
        # It warns of each value at a bound, as a coordinate that does not matter has; whether the
        # fit is any good is what `held_out` measures.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(thetas, rewards)
    return model.kernel_.k1, model.kernel_.k2


def held_out(thetas: Array, rewards: Array) -> Array:
    """(N,): what is expected of each evaluation by a regression that has not seen its theta.

    Cross-validation in 5 parts, kernel and all: one fitted to the held-out rewards too would
    flatter. Evaluations of one theta stay together: a repeat would give the answer away.
    """
    expected = np.empty_like(rewards)
    _, groups = np.unique(thetas, axis=0, return_inverse=True)
    for seen, unseen in GroupKFold(FOLDS).split(thetas, groups=groups.ravel()):
        expected[unseen] = Regression(thetas[seen], rewards[seen]).mean(thetas[unseen])
    return expected
