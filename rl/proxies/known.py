"""What the proxies with a known optimum share: noise, failure, and being led step by step.

Shapes: D search coordinates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoseg_core import SearchSpace
from rl.proxies.blend import Blend
from rl.proxy import ProxyResult, check_budget, failed


class KnownOptimum(ABC):
    """`ProxyTask` over a function of theta that is 1 at ``optimum`` and less everywhere else.

    Args:
        optimum: (D,) in [0, 1].
        noise: standard deviation of a normal error; `normal_error` says what it depends on.
        fails: theta -> bool; True makes that candidate fail. For tests of failure.
        space: the search space it pretends to score.
    """

    score_names: tuple[str, ...] = ("reward", "rmse")
    maximum = 1.0
    """The reward at ``optimum``, without noise."""

    def __init__(
        self,
        optimum: ArrayLike,
        *,
        noise: float = 0.0,
        fails: Callable[[NDArray[np.float64]], bool] | None = None,
        space: SearchSpace | None = None,
    ) -> None:
        self.optimum = np.asarray(optimum, dtype=np.float64)
        if not 0.0 <= noise < np.inf:
            raise ValueError(f"noise is a standard deviation, >= 0; got {noise}")
        self.noise, self.fails, self.space = noise, fails, space

    @abstractmethod
    def value(self, theta: NDArray[np.float64]) -> float:
        """The reward of theta (D,) without noise, in [0, 1]."""

    def evaluate(self, theta: NDArray[np.float64], seed: int, budget: float = 1.0) -> ProxyResult:
        """Score theta (D,); budget b grows the noise by 1/sqrt(b).

        Scores: the reward, and "rmse", the root mean square distance from the optimum.
        """
        check_budget(budget)
        theta = np.ascontiguousarray(theta, dtype=np.float64)
        if self.fails is not None and self.fails(theta):
            return failed("this theta was configured to fail")
        reward = self.value(theta)
        if self.noise != 0.0:
            reward += self.noise * normal_error(theta, seed) / np.sqrt(budget)
        reward = float(np.clip(reward, 0.0, 1.0))
        rmse = float(np.sqrt(mean_square(theta, self.optimum)))
        return ProxyResult(reward, {"reward": reward, "rmse": rmse})

    def training(self) -> Blend:
        """This function as a training to be led step by step."""
        return Blend(self)


def mean_square(theta: NDArray[np.float64], centre: NDArray[np.float64]) -> float:
    """Mean over the coordinates of (theta - centre)^2; both (D,)."""
    return float(np.mean((theta - centre) ** 2))


def normal_error(theta: NDArray[np.float64], seed: int) -> float:
    """A standard normal number that depends on seed >= 0 and theta (D,) float64 only.

    So equal calls agree, and two thetas under one seed err independently.
    """
    words = np.ascontiguousarray(theta, dtype=np.float64).view(np.uint32).tolist()
    return float(np.random.default_rng([seed, *words]).standard_normal())
