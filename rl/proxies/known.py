"""Proxies with a known optimum: their base class, and two with local optima.

An evaluation takes microseconds.

Shapes: D search coordinates.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoseg_core import SearchSpace
from rl.proxies.blend import Blend
from rl.proxy import ProxyResult, failed
from rl.shares import check_budget

Array = NDArray[np.float64]

_WAVES = 4.0  # local maxima of Rastrigin's function along each edge of the cube
_DEPTH = 10.0 * (_WAVES / 10.24) ** 2
"""Rastrigin's amplitude 10 belongs to a cube 10.24 waves wide; this keeps the ratio to the bowl."""

_LOW, _LOW_WIDTH, _HIGH_WIDTH = 0.7, 0.35, 0.2
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


class KnownOptimum(ABC):
    """`ProxyTask` over a function of theta that is 1 at ``optimum`` and smaller elsewhere.

    Args:
        optimum: (D,) in [0, 1].
        noise: standard deviation of a normal error; `normal_error` says what it depends on.
        fails: theta -> bool; True makes that candidate fail. For tests.
        space: its nominal search space.
    """

    score_names: tuple[str, ...] = ("reward", "rmse")
    maximum = 1.0
    """The reward at ``optimum``, without noise."""

    def __init__(
        self,
        optimum: ArrayLike,
        *,
        noise: float = 0.0,
        fails: Callable[[Array], bool] | None = None,
        space: SearchSpace | None = None,
    ) -> None:
        self.optimum = np.asarray(optimum, dtype=np.float64)
        if not 0.0 <= noise < np.inf:
            raise ValueError(f"noise is a standard deviation and must be >= 0, got {noise}")
        self.noise, self.fails, self.space = noise, fails, space

    @abstractmethod
    def value(self, theta: Array) -> float:
        """The reward of theta (D,) without noise, in [0, 1]."""

    def evaluate(self, theta: Array, seed: int, budget: float = 1.0) -> ProxyResult:
        """Score theta (D,); budget b grows the noise by 1/sqrt(b).

        Scores: the reward, and "rmse", the root mean square distance from the optimum.
        """
        check_budget(budget)
        if self.fails is not None and self.fails(theta):
            return failed("this theta was configured to fail")
        reward = self.value(theta)
        if self.noise != 0.0:
            reward += self.noise * normal_error(theta, seed) / np.sqrt(budget)
        reward = float(np.clip(reward, 0.0, 1.0))
        rmse = float(np.sqrt(mean_square(theta, self.optimum)))
        return ProxyResult(reward, {"reward": reward, "rmse": rmse})

    def training(self) -> Blend:
        """This function as a training run step by step."""
        return Blend(self)


def mean_square(theta: Array, centre: Array) -> float:
    """Mean over the coordinates of (theta - centre)^2; both (D,)."""
    return float(np.mean((theta - centre) ** 2))


def normal_error(theta: Array, seed: int) -> float:
    """A standard normal number that depends on seed >= 0 and theta (D,) float64 only.

    So equal calls agree, and errors of two thetas with one seed are independent.
    """
    words = np.ascontiguousarray(theta, dtype=np.float64).view(np.uint32).tolist()
    return float(np.random.default_rng([seed, *words]).standard_normal())


class Rastrigin(KnownOptimum):
    """An egg box on a bowl: about 4^D local maxima, the highest at the optimum.

        reward = 1 - mean_i(z_i^2 + A (1 - cos(2 pi z_i))) / worst,    z = 4 (theta - optimum)

    with worst >= the mean anywhere in the cube. Rastrigin, "Systems of Extremal Control" (1974), as
    generalised to D dimensions by Mühlenbein, Schomisch and Born, "The Parallel Genetic Algorithm
    as Function Optimizer" (1991); there A = 10 and 10.24 waves span the cube, here 4 do.
    """

    def value(self, theta: Array) -> float:
        """The reward of theta (D,) without noise."""
        farthest = _WAVES * np.maximum(self.optimum, 1.0 - self.optimum)
        worst = float(np.mean(farthest**2)) + 2.0 * _DEPTH
        z = _WAVES * (theta - self.optimum)
        return 1.0 - float(np.mean(z**2 + _DEPTH * (1.0 - np.cos(2.0 * np.pi * z)))) / worst


class TwoPeaks(KnownOptimum):
    """A broad peak of 0.7 at ``decoy`` and a narrow one of 1 at the optimum: from nearly everywhere
    the slope leads to the wrong peak.

        reward = max(0.7 exp(-d_decoy^2 / (2 * 0.35^2)), exp(-d_optimum^2 / (2 * 0.2^2)))

    where d^2 is the mean square distance over the coordinates.
    """

    def __init__(self, optimum: Array, decoy: Array, **settings: Any) -> None:
        super().__init__(optimum, **settings)
        self.decoy = np.asarray(decoy, dtype=np.float64)

    def value(self, theta: Array) -> float:
        """The reward of theta (D,) without noise."""
        low = _LOW * _bell(mean_square(theta, self.decoy), _LOW_WIDTH)
        return max(low, _bell(mean_square(theta, self.optimum), _HIGH_WIDTH))


def rastrigin(space: SearchSpace | None = None, noise: float = 0.0) -> Rastrigin:
    """Rastrigin's function on a search space, mIoU's by default."""
    space = space or SearchSpace("mIoU")
    return Rastrigin(0.15 + 0.7 * _scattered(space.dim), noise=noise, space=space)


def two_peaks(space: SearchSpace | None = None, noise: float = 0.0) -> TwoPeaks:
    """Two peaks on a search space, mIoU's by default; the lower one near the identity's theta.

    A search that starts from the identity starts on the slope of the wrong peak.
    """
    space = space or SearchSpace("mIoU")
    start = space.identity()
    decoy = np.clip(start + 0.5 * (_scattered(space.dim) - 0.5), 0.0, 1.0)
    # Seen from the identity, the higher one is beyond the centre of the cube.
    optimum = np.where(start > 0.5, 0.25, 0.75) + 0.3 * (_scattered(space.dim) - 0.5)
    return TwoPeaks(optimum, decoy, noise=noise, space=space)


def _bell(square: float, width: float) -> float:
    return math.exp(-square / (2.0 * width**2))


def _scattered(dim: int) -> Array:
    """(dim,) in [0, 1): multiples of the golden ratio, which lie on no grid or symmetry."""
    return np.array([(0.3 + _GOLDEN * i) % 1.0 for i in range(1, dim + 1)])
