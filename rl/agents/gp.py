"""Bayesian optimisation with a Gaussian process, by the library `optuna`.

Shapes: T thetas told so far.
"""

from __future__ import annotations

import numpy as np

from rl.agents.base import Vector
from rl.agents.study import StudyAgent, optuna

_LOWEST = 3.0
"""In robust deviations below the median."""


class GP(StudyAgent):
    """Models the reward over the whole cube, and proposes what it expects to improve most on it.

    A process with Matern-5/2 kernel, one length scale per coordinate and fitted noise; the next
    theta maximises log EI. Within a round, what is already proposed counts as running: the
    expectation is also over what it may earn (qLogEI), which spreads a round.

    Args:
        identity: (D,) in [0, 1], the first proposal.
        seed: of its generator.
        rounds: length of the search, which makes no difference to it.
        startup: see `StudyAgent`.
    """

    def __init__(
        self, identity: Vector, *, seed: int, rounds: int | None = None, startup: int = 10
    ) -> None:
        super().__init__(identity, seed=seed, startup=startup)

    def _sampler(self, seed: int) -> optuna.samplers.GPSampler:
        return optuna.samplers.GPSampler(
            seed=seed, n_startup_trials=self._startup, warn_independent_sampling=False
        )

    def _seen(self, scores: Vector) -> Vector:
        return winsorized(scores)


def winsorized(scores: Vector) -> Vector:
    """scores (T,), those more than 3 robust deviations below the median raised to there.

    The process has one scale for all: a few failures at the floor, far below, would flatten what
    it sees of the others. The deviation is 1.4826 times the median absolute deviation.
    """
    if scores.size == 0:
        return scores
    median = np.median(scores)
    lowest = median - _LOWEST * 1.4826 * np.median(np.abs(scores - median))
    raised: Vector = np.maximum(scores, lowest) if lowest < median else scores
    return raised
