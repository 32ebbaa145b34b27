"""The reward of any theta, expected from those of others by scikit-learn's Gaussian process.

Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), chapters 2 and 5.

Shapes: N evaluations, D search coordinates.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
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


def regression(thetas: Array, rewards: Array) -> Any:
    """The Gaussian process of rewards (N,) at thetas (N, D).

    The kernel, amplitude * Matern-5/2(lengths (D,)) + noise on the diagonal, is that of highest
    marginal likelihood; both variances are relative to that of the rewards.
    """
    smooth = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(np.ones(thetas.shape[1]), _LENGTHS, nu=2.5)
    model = GaussianProcessRegressor(smooth + WhiteKernel(0.1, _NOISE), normalize_y=True)
    # One thread: every process of a machine gets the same bits.
    with threadpool_limits(limits=1), warnings.catch_warnings():
        # It warns of each value at a bound, as a coordinate that does not matter has; whether the
        # fit is any good is what `held_out` measures.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(thetas, rewards)


def held_out(thetas: Array, rewards: Array) -> Array:
    """(N,): what is expected of each evaluation by a regression that has not seen its theta.

    Cross-validation in 5 parts, kernel and all: one fitted to the held-out rewards too would
    flatter. Evaluations of one theta stay together: a repeat would give the answer away.
    """
    expected = np.empty_like(rewards)
    _, groups = np.unique(thetas, axis=0, return_inverse=True)
    for seen, unseen in GroupKFold(FOLDS).split(thetas, groups=groups.ravel()):
        expected[unseen] = regression(thetas[seen], rewards[seen]).predict(thetas[unseen])
    return expected
