"""The final choice: a few finalists under fresh seeds, and whether the winner means anything.

A reward seen during the search is the best of many noisy ones, and so too good. Finalists are
evaluated again under seeds of their own, the same for each, so differences are paired.

Shapes: F finalists, M fresh seeds, D search coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rl.proxy import ProxyResult

IDENTITY = "identity"
MEAN = "mean"

_SAME = 1e-6
"""Thetas closer than this in every coordinate draw the same curves and count as one."""


@dataclass(frozen=True, eq=False)
class Finalist:
    """A theta (D,) in the final, under a name: "identity", "mean", or its candidate id."""

    name: str
    theta: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Estimate:
    """A finalist's rewards under the fresh seeds (M,); the error is NaN with a single seed."""

    finalist: Finalist
    rewards: tuple[float, ...]
    mean: float
    standard_error: float
    failures: int


@dataclass(frozen=True)
class Comparison:
    """Winner minus identity, paired over the seeds, and what it says in words."""

    difference: float
    standard_error: float
    beyond_noise: bool
    statement: str


@dataclass(frozen=True, eq=False)
class Selection:
    """All estimates in the order of the finalists, the winner among them, and its meaning."""

    estimates: tuple[Estimate, ...]
    winner: Estimate
    comparison: Comparison

    def report(self) -> str:
        """A line a finalist, best first, then the statement."""
        ranked = sorted(self.estimates, key=lambda estimate: -estimate.mean)
        lines = [_line(estimate, estimate is self.winner) for estimate in ranked]
        return "\n".join([*lines, self.comparison.statement])


def choose_finalists(
    mean: NDArray[np.float64],
    identity: NDArray[np.float64],
    seen: Iterable[tuple[str, NDArray[np.float64], ProxyResult]],
    top_k: int,
) -> list[Finalist]:
    """The identity, the mean, and the top_k best of seen, (id, theta (D,), result), all distinct.

    The identity comes first, and so wins ties; failed candidates never enter.
    """
    finalists = [Finalist(IDENTITY, identity)]
    _add_distinct(finalists, Finalist(MEAN, mean))
    size = len(finalists) + top_k
    ok = [row for row in seen if row[2].status == "ok"]
    for name, theta, _ in sorted(ok, key=lambda row: -row[2].reward):
        if len(finalists) == size:
            break
        _add_distinct(finalists, Finalist(name, theta))
    return finalists


def _add_distinct(finalists: list[Finalist], new: Finalist) -> None:
    distances = [float(np.max(np.abs(new.theta - old.theta))) for old in finalists]
    if min(distances) > _SAME:
        finalists.append(new)


def select(finalists: Sequence[Finalist], results: Sequence[Sequence[ProxyResult]]) -> Selection:
    """Finalists, identity first, and results (F, M): the highest mean wins, the first of equals."""
    estimates = tuple(map(estimate, finalists, results))
    winner = max(estimates, key=lambda one: one.mean)
    return Selection(estimates, winner, compare(winner, estimates[0]))


def estimate(finalist: Finalist, results: Sequence[ProxyResult]) -> Estimate:
    """Mean and standard error of (M,) results; a failed one counts with its floor reward."""
    rewards = tuple(result.reward for result in results)
    failures = sum(result.status == "failed" for result in results)
    return Estimate(finalist, rewards, *mean_and_error(rewards), failures)


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean of (M,) values, and s / sqrt(M) with s of M - 1 degrees of freedom; NaN for M = 1."""
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return mean, math.nan
    if min(values) == max(values):
        return values[0], 0.0  # a mean that is off by one rounding must not look like noise
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return mean, math.sqrt(variance / len(values))


def compare(winner: Estimate, identity: Estimate) -> Comparison:
    """Paired t test at 5 %, two-sided: is winner - identity beyond the noise of the seeds?

    The winner is the best of several, which favours it a little: near the limit, use more seeds.
    """
    if winner is identity:
        return Comparison(0.0, 0.0, False, "The identity surface won: nothing found was better.")
    pairs = zip(winner.rewards, identity.rewards, strict=True)
    difference, error = mean_and_error([ours - theirs for ours, theirs in pairs])
    gain = f"{winner.finalist.name} - identity = {difference:+.4f}"
    if math.isnan(error):
        return Comparison(
            difference, error, False, f"{gain} with a single seed: its noise is unknown."
        )
    seeds = len(winner.rewards)
    beyond = difference > float(stats.t.ppf(0.975, seeds - 1)) * error
    verdict = "beyond the noise" if beyond else "NOT beyond the noise"
    statement = f"{gain} ± {error:.4f} over {seeds} paired seeds: {verdict} (t test, 5 %)."
    return Comparison(difference, error, beyond, statement)


def _line(one: Estimate, won: bool) -> str:
    failures = f"  ({one.failures} of {len(one.rewards)} failed)" if one.failures else ""
    mark = "*" if won else " "
    spread = "" if math.isnan(one.standard_error) else f" ± {one.standard_error:.4f}"
    return f"{mark} {one.finalist.name:<10} {one.mean:.4f}{spread}{failures}"
