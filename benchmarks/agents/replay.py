"""A proxy made of what searches have measured: agents compared in milliseconds on real rewards.

Shapes: N candidates, D search coordinates.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from autoseg_core import SearchSpace
from autoseg_core.files import user_path
from benchmarks.agents.evaluations import read_evaluations
from benchmarks.agents.regression import Regression, fit, held_out
from rl.proxies.blend import Blend
from rl.proxies.known import normal_error
from rl.proxy import ProxyResult

Array = NDArray[np.float64]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReplayError:
    """How far the answers of a `Replay` are to be trusted.

    Args:
        candidates: evaluations that it rests on.
        thetas: different thetas among them.
        failed: candidates left out because they had failed.
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
    """`ProxyTask` with a known maximum, over a regression of recorded rewards and scores.

    The reward is the regression's mean, clipped to [0, 1]; each score likewise. It depends on theta
    alone: the budget is ignored, and the seed counts with noise only. ``error`` says how far to
    trust it. Nothing ever fails here: failed candidates were left out, so where a real search fails
    the answer is a guess from the neighbours.

    Args:
        regression: outputs (reward, *score_names).
        space: of theta.
        score_names: names of the other outputs.
        error: what the regression misses.
        noise: add a normal error of ``error.noise`` to the reward, as a real evaluation has;
            `normal_error` says what it depends on.
    """

    def __init__(
        self,
        regression: Regression,
        space: SearchSpace,
        score_names: tuple[str, ...],
        error: ReplayError,
        noise: bool = False,
    ) -> None:
        self.regression, self.space, self.score_names = regression, space, score_names
        self.error = error
        self.noise = error.noise if noise else 0.0

    def evaluate(self, theta: Array, seed: int, budget: float = 1.0) -> ProxyResult:
        """Answer for theta (D,) in [0, 1]."""
        theta = np.asarray(theta, dtype=np.float64)
        values = self.regression.mean(theta[None])[0]
        if self.noise != 0.0:
            values[0] += self.noise * normal_error(theta, seed)
        reward, *scores = np.clip(values, 0.0, 1.0).tolist()
        named = dict(zip(self.score_names, scores, strict=True))
        target = str(self.space.objective)
        if target in named:
            named[target] = reward  # the same number, noise and all
        return ProxyResult(reward, named)

    def value(self, theta: Array) -> float:
        """The reward of theta (D,) without noise."""
        return float(np.clip(self.regression.mean(np.asarray(theta)[None])[0, 0], 0.0, 1.0))

    def training(self) -> Blend:
        """The rewards as a training to be led step by step."""
        return Blend(self)

    @cached_property
    def maximum(self) -> float:
        """The regression's highest reward, by a local search from many points."""
        rewards = self.regression.values[:, 0]
        known = self.regression.thetas[np.argsort(-rewards, kind="stable")[:8]]
        starts = [*known, *np.random.default_rng(0).random((24, self.space.dim))]
        bounds = [(0.0, 1.0)] * self.space.dim
        found = [minimize(self._loss, start, method="L-BFGS-B", bounds=bounds) for start in starts]
        best = min(found, key=lambda result: float(result.fun))
        return self.value(np.clip(best.x, 0.0, 1.0))

    def _loss(self, theta: Array) -> float:
        return -float(self.regression.mean(theta[None])[0, 0])


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

    Raises what `read_evaluations` does.
    """
    paths = [journal] if isinstance(journal, str | Path) else journal
    data = read_evaluations([user_path(path) for path in paths], space)
    regression = fit(data.thetas, data.values)
    error = _estimate(regression, data.failed)
    if not error.explained > 0.0:
        _logger.warning("this replay foresees nothing of the rewards: %s; use more data", error)
    return Replay(regression, data.space, data.score_names, error, noise)


def _estimate(regression: Regression, failed: int) -> ReplayError:
    rewards, expected = (
        regression.values[:, 0],
        held_out(regression.thetas, regression.values[:, :1])[:, 0],
    )
    spread = float(rewards.std())
    return ReplayError(
        candidates=len(rewards),
        thetas=len(np.unique(regression.thetas, axis=0)),
        failed=failed,
        spread=spread,
        rmse=float(np.sqrt(np.mean((rewards - expected) ** 2))),
        noise=spread * math.sqrt(regression.kernel.noise),
    )
