"""The tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011), by the library `optuna`.

Shapes: N samples of a round, D search coordinates.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from rl.agents.base import UNIFORM_DEVIATION, Vector
from rl.agents.history import HistoryAgent

try:
    import optuna
except ImportError as error:
    raise ImportError(
        "the agent tpe needs optuna, which is not installed: pip install -e '.[agents]'"
    ) from error


class TPE(HistoryAgent):
    """Models where the good candidates lie and where the others, and proposes between them.

    The identity is its first proposal. Within a round, what is already proposed counts as bad (a
    constant liar), so that a round does not propose one theta N times. What is not told before the
    next round is proposed was lost, and counts as nothing.

    Args:
        identity: (D,) in [0, 1].
        seed: of its generator.
        rounds: length of the search, which makes no difference to it.
        startup: proposals are uniform until this many scores are known. A whole round is proposed
            before its first score, so the first round is uniform always.
        multivariate: model the coordinates jointly, optuna's own default since 5.0, instead of each
            by itself. `python -m rl.compare --proxy quadratic --proxy rastrigin --proxy two_peaks
            --agents tpe,tpe:multivariate=true` shows mean final regrets of 0.0128 and 0.0932
            jointly, 0.0012 and 0.0573 by themselves; on `two_peaks`, 0.310 and 0.304, the
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
        if startup < 1:
            raise ValueError(f"TPE expects startup >= 1, got {startup}")
        super().__init__(identity, seed=seed)
        self._startup, self._multivariate = startup, multivariate
        names = [f"theta_{i}" for i in range(self._identity.size)]
        self._space = {name: optuna.distributions.FloatDistribution(0.0, 1.0) for name in names}
        self._begin()

    def _begin(self) -> None:
        seed = int(np.random.SeedSequence(self._seed).generate_state(1)[0])
        with _quiet():
            sampler = optuna.samplers.TPESampler(
                n_startup_trials=self._startup,
                multivariate=self._multivariate,
                constant_liar=True,
                seed=seed,
            )
            self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._study.enqueue_trial(dict(zip(self._space, self._identity.tolist(), strict=True)))
        self._open: list[tuple[Vector, optuna.Trial]] = []  # asked, not told
        self._thetas = np.empty((0, self._identity.size))
        self._scores = np.empty(0)

    @property
    def mean(self) -> Vector:
        """(D,): the best theta told, the first of equals; the identity until told anything."""
        if self._scores.size == 0:
            return self._identity.copy()
        best: Vector = self._thetas[np.argmax(self._scores)]
        return best.copy()

    @property
    def spread(self) -> Vector:
        """(D,): standard deviation of the best tenth of what it was told, of two at least.

        That tenth is what it models as good. Until `startup` scores are known: a uniform's.
        """
        if self._scores.size < max(self._startup, 2):
            return np.full_like(self._identity, UNIFORM_DEVIATION)
        size = max(2, math.ceil(self._scores.size / 10))
        best = np.argsort(-self._scores, kind="stable")[:size]
        deviation: Vector = self._thetas[best].std(axis=0)
        return deviation

    def _propose(self, n: int) -> Vector:
        for _, trial in self._open:  # as running ones they would count as bad
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        self._open.clear()
        trials = [self._study.ask(dict(self._space)) for _ in range(n)]
        thetas = np.array([[trial.params[name] for name in self._space] for trial in trials])
        self._open.extend(zip(thetas.copy(), trials, strict=True))
        return thetas

    def _learn(self, thetas: Vector, scores: Vector) -> None:
        for theta, score in zip(thetas, scores, strict=True):
            self._study.tell(self._take(theta), float(score))
        self._thetas = np.concatenate([self._thetas, thetas])
        self._scores = np.concatenate([self._scores, scores])

    def _take(self, theta: Vector) -> optuna.Trial:
        for index, (asked, trial) in enumerate(self._open):
            if np.array_equal(asked, theta):
                del self._open[index]
                return trial
        raise ValueError(
            "TPE can be told only of thetas that it was asked for and not told of yet; "
            f"{theta.tolist()} is none"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without optuna's line about a new study, and without what 4.x calls experimental."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)
