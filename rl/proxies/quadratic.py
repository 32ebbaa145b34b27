"""A proxy with a known optimum that answers in microseconds: the whetstone of agents and searches.

Shapes: D search coordinates.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoseg_core import SearchSpace
from rl.proxy import ProxyResult, check_budget, failed


def _never(theta: NDArray[np.float64]) -> bool:
    return False


class Quadratic:
    """reward = 1 - mean((theta - optimum)^2) + noise, clipped to [0, 1]; 1 at the optimum.

    Args:
        optimum: (D,) in [0, 1].
        noise: standard deviation of a normal error. It depends on seed and theta only, so equal
            calls agree, and two thetas under one seed err independently.
        fails: theta -> bool; True makes that candidate fail. For tests of failure.
        space: the search space it pretends to score.
    """

    score_names = ("reward", "rmse")

    def __init__(
        self,
        optimum: ArrayLike,
        *,
        noise: float = 0.0,
        fails: Callable[[NDArray[np.float64]], bool] = _never,
        space: SearchSpace | None = None,
    ) -> None:
        self.optimum = np.asarray(optimum, dtype=np.float64)
        self.noise = noise
        self.fails = fails
        self.space = space

    def evaluate(self, theta: NDArray[np.float64], seed: int, budget: float = 1.0) -> ProxyResult:
        """Score theta (D,); ValueError for another shape. budget b grows the noise by 1/sqrt(b)."""
        check_budget(budget)
        theta = np.ascontiguousarray(theta, dtype=np.float64)
        if theta.shape != self.optimum.shape:
            raise ValueError(f"theta must have shape {self.optimum.shape}, got {theta.shape}")
        if self.fails(theta):
            return failed("this theta was configured to fail")
        error = float(np.mean((theta - self.optimum) ** 2))
        noise = self._error(theta, seed) / np.sqrt(budget)
        reward = float(np.clip(1.0 - error + noise, 0.0, 1.0))
        return ProxyResult(reward, {"reward": reward, "rmse": float(np.sqrt(error))})

    def _error(self, theta: NDArray[np.float64], seed: int) -> float:
        if self.noise == 0.0:
            return 0.0
        generator = np.random.default_rng([seed, *theta.view(np.uint32).tolist()])
        return self.noise * float(generator.standard_normal())


def from_space(
    space: SearchSpace | None = None, optimum: ArrayLike | None = None, noise: float = 0.0
) -> Quadratic:
    """The quadratic on a search space, mIoU's by default; optimum 0.2 … 0.8 unless given."""
    space = space or SearchSpace("mIoU")
    if optimum is None:
        optimum = np.linspace(0.2, 0.8, space.dim)
    return Quadratic(optimum, noise=noise, space=space)
