"""Agents based on `optuna`: TPE, and Bayesian optimisation with a Gaussian process.

Shapes: N samples of a round, D search coordinates, T thetas told so far.
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from rl.agents.base import UNIFORM_DEVIATION, Vector

try:
    import optuna
except ImportError as error:
    raise ImportError(
        "the agents tpe and gp need optuna, which is not installed: pip install -e '.[agents]'"
    ) from error


class StudyAgent(ABC):
    """An optuna sampler, which sees all told thetas as finished trials and a round as running ones.

    The identity is the first proposal. Every round makes a new study, without trials of lost
    evaluations; it may hold transformed scores.

    Args:
        identity: (D,) in [0, 1].
        seed: of its generator.
        rounds: length of the search; not used.
        startup: proposals are uniform until this many scores are known, and in the first round;
            >= 1, else ValueError.
    """

    def __init__(
        self, identity: Vector, *, seed: int, rounds: int | None = None, startup: int = 10
    ) -> None:
        if startup < 1:
            raise ValueError(f"{type(self).__name__} expects startup >= 1, got {startup}")
        self._identity, self._startup = identity.copy(), startup
        uniform = optuna.distributions.FloatDistribution(0.0, 1.0)
        self._space: dict[str, optuna.distributions.BaseDistribution] = {
            f"theta_{i}": uniform for i in range(self._identity.size)
        }
        self._seeds = np.random.default_rng(seed)
        self._asked = 0
        self._thetas = np.empty((0, self._identity.size))
        self._scores = np.empty(0)

    @abstractmethod
    def _sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        """The sampler of one round, given seed and number of trials."""

    def _seen(self, scores: Vector) -> Vector:
        """The scores (T,) as the sampler sees them."""
        return scores

    @property
    def mean(self) -> Vector:
        """(D,): the best theta told, the first of equals; the identity before the first tell."""
        if self._scores.size == 0:
            return self._identity.copy()
        best: Vector = self._thetas[np.argmax(self._scores)]
        return best.copy()

    @property
    def spread(self) -> Vector:
        """(D,): standard deviation of the best tenth of the told thetas, two at least.

        That of a uniform distribution until `startup` scores are known.
        """
        if self._scores.size < max(self._startup, 2):
            return np.full_like(self._identity, UNIFORM_DEVIATION)
        size = max(2, math.ceil(self._scores.size / 10))
        best = np.argsort(-self._scores, kind="stable")[:size]
        deviation: Vector = self._thetas[best].std(axis=0)
        return deviation

    def ask(self, n: int) -> Vector:
        """(n, D) in [0, 1]."""
        with _quiet():
            study = self._study()
            if self._asked == 0:
                study.enqueue_trial(self._named(self._identity))
            self._asked += n
            trials = [study.ask(dict(self._space)) for _ in range(n)]
        return np.array([[trial.params[name] for name in self._space] for trial in trials])

    def _study(self) -> optuna.Study:
        sampler = self._sampler(int(self._seeds.integers(2**32)))
        study = optuna.create_study(direction="maximize", sampler=sampler)
        make = functools.partial(optuna.trial.create_trial, distributions=self._space)
        for theta, score in zip(self._thetas, self._seen(self._scores), strict=True):
            study.add_trial(make(params=self._named(theta), value=float(score)))
        return study

    def _named(self, theta: Vector) -> dict[str, float]:
        return dict(zip(self._space, theta.tolist(), strict=True))

    def tell(self, thetas: Vector, scores: Vector) -> None:
        """Remember thetas (N, D) and their scores (N,)."""
        self._thetas = np.concatenate([self._thetas, thetas])
        self._scores = np.concatenate([self._scores, scores])


class TPE(StudyAgent):
    """The tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011).

    It models where the good candidates lie and where the others, and proposes between them.

    Within a round, earlier proposals count as bad (a constant liar), so that a round does not
    propose one theta N times.

    Args:
        identity, seed, rounds, startup: see `StudyAgent`.
        multivariate: model the coordinates jointly, optuna's own default since 5.0, instead of
            independently. Mean final regrets in `benchmarks.agents` on `quadratic` and `rastrigin`
            are 0.0128 and 0.0932 jointly, 0.0012 and 0.0573 independently; on `two_peaks` the
            difference is within the error.
    """

    def __init__(
        self,
        identity: Vector,
        *,
        seed: int,
        rounds: int | None = None,
        startup: int = 10,
        multivariate: bool = False,
    ) -> None:
        self._multivariate = multivariate
        super().__init__(identity, seed=seed, startup=startup)

    def _sampler(self, seed: int) -> optuna.samplers.TPESampler:
        return optuna.samplers.TPESampler(
            n_startup_trials=self._startup,
            multivariate=self._multivariate,
            constant_liar=True,
            seed=seed,
        )


class GP(StudyAgent):
    """Models the reward over the whole cube; proposes thetas of largest expected improvement.

    A process with Matern-5/2 kernel, one length scale per coordinate and fitted noise; the next
    theta maximises log EI. Within a round, earlier proposals count as running: the expectation also
    averages over their possible scores (qLogEI), which spreads a round. The arguments are those of
    `StudyAgent`.
    """

    def _sampler(self, seed: int) -> optuna.samplers.GPSampler:
        return optuna.samplers.GPSampler(
            seed=seed, n_startup_trials=self._startup, warn_independent_sampling=False
        )

    def _seen(self, scores: Vector) -> Vector:
        return winsorized(scores)


def winsorized(scores: Vector) -> Vector:
    """scores (T,), clipped at 3 robust deviations below the median.

    The process has one scale for all scores: a few failures at the floor, far below, would flatten
    the others. The deviation is 1.4826 times the median absolute deviation.
    """
    if scores.size == 0:
        return scores
    median = np.median(scores)
    lowest = median - 3.0 * 1.4826 * np.median(np.abs(scores - median))
    raised: Vector = np.maximum(scores, lowest) if lowest < median else scores
    return raised


@contextmanager
def _quiet() -> Iterator[None]:
    """A study, without optuna's log line about it."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)
