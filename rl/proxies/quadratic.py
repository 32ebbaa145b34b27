"""A proxy with a known optimum that answers in microseconds: the whetstone of agents and searches.

Shapes: D search coordinates.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl.proxy import ProxyResult, failed


def _never(theta: NDArray[np.float64]) -> bool:
    return False


class Quadratic:
    """reward = 1 - mean((theta - optimum)^2) + noise, clipped to [0, 1]; 1 at the optimum.

    Args:
        optimum: (D,) in [0, 1].
        noise: standard deviation of a normal error. It depends on seed and theta only, so equal
            calls agree, and two thetas under one seed err independently.
        fails: theta -> bool; True makes that candidate fail. For tests of failure.
    """

    def __init__(
        self,
        optimum: ArrayLike,
        *,
        noise: float = 0.0,
        fails: Callable[[NDArray[np.float64]], bool] = _never,
    ) -> None:
        self.optimum = np.asarray(optimum, dtype=np.float64)
        self.noise = noise
        self.fails = fails

    def evaluate(self, theta: NDArray[np.float64], seed: int) -> ProxyResult:
        """Score theta (D,); ValueError for another shape."""
        theta = np.ascontiguousarray(theta, dtype=np.float64)
        if theta.shape != self.optimum.shape:
            raise ValueError(f"theta must have shape {self.optimum.shape}, got {theta.shape}")
        if self.fails(theta):
            return failed("this theta was configured to fail")
        error = float(np.mean((theta - self.optimum) ** 2))
        reward = float(np.clip(1.0 - error + self._error(theta, seed), 0.0, 1.0))
        return ProxyResult(reward, {"reward": reward, "rmse": float(np.sqrt(error))})

    def _error(self, theta: NDArray[np.float64], seed: int) -> float:
        if self.noise == 0.0:
            return 0.0
        generator = np.random.default_rng([seed, *theta.view(np.uint32).tolist()])
        return self.noise * float(generator.standard_normal())
