"""A proxy with a known optimum that takes microseconds, for tests of agents and searches.

Shapes: D search coordinates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoseg_core import SearchSpace
from rl.arrays import checked_array
from rl.proxies.known import KnownOptimum, mean_square


class Quadratic(KnownOptimum):
    """reward = 1 - mean((theta - optimum)^2) + noise, clipped to [0, 1]; 1 at the optimum."""

    def value(self, theta: NDArray[np.float64]) -> float:
        """The reward of theta (D,) without noise."""
        return 1.0 - mean_square(theta, self.optimum)


def from_space(
    space: SearchSpace | None = None, optimum: ArrayLike | None = None, noise: float = 0.0
) -> Quadratic:
    """The quadratic on a search space, mIoU's by default; optimum 0.2 … 0.8 unless given."""
    space = space or SearchSpace("mIoU")
    if optimum is None:
        optimum = np.linspace(0.2, 0.8, space.dim)
    optimum = checked_array("optimum", optimum, (space.dim,), 0.0, 1.0)
    return Quadratic(optimum, noise=noise, space=space)
