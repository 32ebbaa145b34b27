"""CMA-ES (Hansen, arXiv 1604.00772), by the library `cmaes`, with restarts.

A round is a generation. Only the order of the rewards matters, so neither their scale nor failed
candidates at the floor disturb it.

Shapes: N samples of a round, D search coordinates.
"""

from __future__ import annotations

import copy
import math

import numpy as np
from cmaes import CMA

from rl.agents.base import Vector

_LEAST = 4  # with fewer, the better half is one sample, and the library divides by zero
_SPREAD_DRAWS = 1000  # samples behind `spread`: a standard deviation within 2 %


class CMAES:
    """A normal distribution whose mean, step size and covariance follow the better half.

    The first `ask(n)` fixes the population at n for good: give every round n samples. Samples that
    leave [0, 1] are redrawn, at most 100 times, then clipped. For a sample that is not told, the
    library is told the distribution's mean with the round's median score: that is no step, and its
    weight is near 0.

    Args:
        identity: (D,) in [0, 1], the first mean.
        seed: of its generator.
        rounds: length of the search; not used.
        sigma: standard deviation of the first samples, in every coordinate; > 0, else ValueError.
        restarts: when the library reports convergence (or nothing can be learned), restart
            around a uniformly drawn mean, with the first sigma. False: stop learning.
    """

    def __init__(
        self,
        identity: Vector,
        *,
        seed: int,
        rounds: int | None = None,
        sigma: float = 0.2,
        restarts: bool = True,
    ) -> None:
        if not sigma > 0.0:
            raise ValueError(f"CMA-ES expects sigma > 0, got {sigma}")
        self._identity = identity.copy()
        self._sigma, self._restarts = sigma, restarts
        self._generator = np.random.default_rng(seed)
        self._cma: CMA | None = None
        self._converged = False
        self._score = -math.inf  # the best of this run, from one start to the next
        self._former = (-math.inf, self._identity)  # best score and last mean of the best run ended

    @property
    def mean(self) -> Vector:
        """(D,): mean of the distribution, from the run with the best score.

        So a restart, whose mean is random, does not replace an earlier result until it has a
        better score.
        """
        if self._cma is None or self._former[0] >= self._score:
            return self._former[1].copy()
        return _inside(self._cma.mean)

    @property
    def spread(self) -> Vector:
        """(D,): standard deviation of the distribution, before the bounds cut it.

        Measured on samples of a copy, as the library does not expose its covariance.
        """
        if self._cma is None:
            return np.full_like(self._identity, self._sigma)
        twin = copy.deepcopy(self._cma)
        twin.reseed_rng(0)
        twin.set_bounds(None)
        deviation: Vector = np.std([twin.ask() for _ in range(_SPREAD_DRAWS)], axis=0)
        return deviation

    def ask(self, n: int) -> Vector:
        """(n, D) in [0, 1]; ValueError for n < 4, or n other than the first."""
        if self._cma is None:
            if n < _LEAST:
                raise ValueError(
                    f"CMA-ES learns from the better half of a round and needs at least {_LEAST} "
                    f"samples (4 + 3 ln(D) is usual), got {n}"
                )
            self._cma = self._start(self._identity, n)
        if n != self._cma.population_size:
            raise ValueError(
                f"CMA-ES has a fixed population: the first ask was for {self._cma.population_size} "
                f"samples and so must all others be, got {n}"
            )
        return np.array([self._cma.ask() for _ in range(n)])

    def tell(self, thetas: Vector, scores: Vector) -> None:
        """Learn from thetas (N, D), at most as many as were asked for, and scores (N,)."""
        assert self._cma is not None, "ask(n) comes before tell"
        self._score = max(self._score, float(scores.max()))
        if not self._converged:
            lost = self._cma.population_size - len(thetas)
            thetas = np.concatenate([thetas, np.tile(self._cma.mean, (lost, 1))])
            scores = np.concatenate([scores, np.full(lost, np.median(scores))])
            self._cma.tell(list(zip(thetas, -scores, strict=True)))  # the library minimises
            self._converged = self._cma.should_stop()
        if self._converged and self._restarts:
            self._restart(self._cma)

    def _restart(self, ended: CMA) -> None:
        self._former = max(self._former, (self._score, _inside(ended.mean)), key=lambda run: run[0])
        self._cma = self._start(self._generator.random(self._identity.size), ended.population_size)
        self._score, self._converged = -math.inf, False

    def _start(self, mean: Vector, population: int) -> CMA:
        return CMA(
            mean=mean,
            sigma=self._sigma,
            bounds=np.tile([0.0, 1.0], (mean.size, 1)),
            seed=int(self._generator.integers(2**32)),
            population_size=population,
        )


def _inside(mean: Vector) -> Vector:
    # A weighted mean of points in the cube, except for rounding.
    inside: Vector = np.clip(mean, 0.0, 1.0)
    return inside
