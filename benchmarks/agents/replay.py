"""A proxy made of what searches have measured: agents compared in milliseconds on real rewards.

Shapes: N evaluations, D search coordinates.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from autoseg_core import SearchSpace
from autoseg_core.files import user_path
from benchmarks.agents.regression import FOLDS, Array, held_out, regression
from rl.journal import Record, read_journal
from rl.proxies.blend import Blend
from rl.proxies.known import normal_error
from rl.proxy import ProxyResult

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReplayError:
    """How far the answers of a `Replay` are to be trusted.

    Args:
        candidates: evaluations that it rests on.
        thetas: different thetas among them.
        failed: candidates left out because they had failed or were lost.
        spread: standard deviation of the rewards.
        rmse: root mean square error of the reward expected at a theta that was held out, against
            its evaluations: the model's error and their noise together.
        noise: standard deviation of one evaluation about the mean of its theta, as fitted.
    """

    candidates: int
    thetas: int
    failed: int
    spread: float
    rmse: float
    noise: float

    @property
    def explained(self) -> float:
        """Share of the rewards' variance that is foreseen at held-out thetas; <= 0: nothing is."""
        return 1.0 - (self.rmse / self.spread) ** 2 if self.spread > 0.0 else math.nan

    def __str__(self) -> str:
        return (
            f"regression over {self.candidates} evaluations of {self.thetas} thetas "
            f"({self.failed} failed ones left out): held-out RMSE {self.rmse:.4f} where rewards "
            f"spread by {self.spread:.4f} (R^2 {self.explained:.2f}); noise of one evaluation "
            f"{self.noise:.4f}"
        )


class Replay:
    """`ProxyTask` with a known maximum, over a regression of recorded rewards.

    The reward is the regression's mean, clipped to [0, 1]. It depends on theta alone: the budget is
    ignored, and the seed counts with noise only. Nothing ever fails here: failed candidates were
    left out, so where a real search fails the answer is a guess from the neighbours.

    Args:
        thetas, rewards: (N, D) in [0, 1] and (N,), what was measured.
        space: of theta.
        failed: how many further evaluations failed; for ``error``, which says what to trust.
        noise: add a normal error of ``error.noise`` to the reward, as a real evaluation has;
            `normal_error` says what it depends on.
    """

    def __init__(
        self,
        thetas: Array,
        rewards: Array,
        space: SearchSpace,
        failed: int = 0,
        noise: bool = False,
    ) -> None:
        self.thetas, self.rewards, self.space = thetas, rewards, space
        self._model = regression(thetas, rewards)
        spread = float(rewards.std())
        self.error = ReplayError(
            candidates=len(rewards),
            thetas=len(np.unique(thetas, axis=0)),
            failed=failed,
            spread=spread,
            rmse=float(np.sqrt(np.mean((rewards - held_out(thetas, rewards)) ** 2))),
            noise=spread * math.sqrt(self._model.kernel_.k2.noise_level),
        )
        self.score_names = (str(space.objective),)
        self.noise = self.error.noise if noise else 0.0

    def evaluate(self, theta: Array, seed: int, budget: float = 1.0) -> ProxyResult:
        """Answer for theta (D,) in [0, 1]."""
        reward = self._mean(theta)
        if self.noise != 0.0:
            reward += self.noise * normal_error(theta, seed)
        reward = float(np.clip(reward, 0.0, 1.0))
        return ProxyResult(reward, {self.score_names[0]: reward})

    def value(self, theta: Array) -> float:
        """The reward of theta (D,) without noise."""
        return float(np.clip(self._mean(theta), 0.0, 1.0))

    def training(self) -> Blend:
        """The rewards as a training to be led step by step."""
        return Blend(self)

    @cached_property
    def maximum(self) -> float:
        """The regression's highest reward, by a local search from many points."""
        known = self.thetas[np.argsort(-self.rewards, kind="stable")[:8]]
        starts = [*known, *np.random.default_rng(0).random((24, self.space.dim))]
        bounds = [(0.0, 1.0)] * self.space.dim
        found = [
            minimize(lambda theta: -self._mean(theta), start, method="L-BFGS-B", bounds=bounds)
            for start in starts
        ]
        best = min(found, key=lambda result: float(result.fun))
        return self.value(np.clip(best.x, 0.0, 1.0))

    def _mean(self, theta: Array) -> float:
        return float(self._model.predict(np.asarray(theta, dtype=np.float64)[None])[0])


def from_journals(
    journal: str | Path | Sequence[str | Path],
    space: SearchSpace | None = None,
    noise: bool = False,
) -> Replay:
    """The proxy over the candidates of one or several journals, finished or still growing.

    Candidates of the rounds and of the final selection count alike; those that failed, and those
    at a part of the budget, are left out. That the journals tell of one and the same training, not
    only of one space, is for the caller to see to.

    Args:
        journal: path or paths of ``journal.jsonl``.
        space: the space asked for; None = the journals' own.
        noise: see `Replay`.

    Raises:
        ValueError: a journal without space or of another space, or fewer different thetas in all
            than max(2 D, 10).
        rl.journal.JournalError, FileNotFoundError: a journal that cannot be read.
    """
    candidates: list[Record] = []
    for path in [journal] if isinstance(journal, str | Path) else journal:
        header, *records = read_journal(user_path(path)) or [{}]
        space = _check_space(path, header, space)
        candidates += [record for record in records if record["kind"] == "candidate"]
    good = [record for record in candidates if record["status"] == "ok"]
    assert space is not None, "at least one journal"
    different = len({tuple(record["theta"]) for record in good})
    least = max(2 * space.dim, 2 * FOLDS)
    if different < least:
        raise ValueError(
            f"a regression needs candidates of at least {least} different thetas that did not "
            f"fail, found {different}; let the search run on, or add journals"
        )
    thetas, rewards = (np.array([record[key] for record in good]) for key in ("theta", "reward"))
    replay = Replay(thetas, rewards, space, len(candidates) - len(good), noise)
    if not replay.error.explained > 0.0:
        _logger.warning(
            "this replay foresees nothing of the rewards: %s; use more data", replay.error
        )
    return replay


def _check_space(path: str | Path, header: Record, expected: SearchSpace | None) -> SearchSpace:
    if "space" not in header:
        raise ValueError(
            f'{path} has no "space" in its header: journals of old versions lack it, and searches '
            "that have not begun"
        )
    own = SearchSpace.from_dict(header["space"])
    if expected is not None and own != expected:
        raise ValueError(
            f"{path} is of a search over {own}, expected {expected}: rewards of different "
            "spaces do not mix; leave it out, or ask for its own space"
        )
    return own
