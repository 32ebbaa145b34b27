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
    """A finalist's rewards under the fresh seeds (M,), NaN where the evaluation was lost.

    mean and standard_error are those of the others; NaN without any, the error also of one.
    """

    finalist: Finalist
    rewards: tuple[float, ...]
    mean: float
    standard_error: float
    failures: int
    lost: int


@dataclass(frozen=True)
class Comparison:
    """A finalist minus identity, paired over the seeds that both have, and what it says."""

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
        """One line per finalist, best first, then the statement."""
        ranked = sorted(self.estimates, key=_rank)
        lines = [_line(estimate, estimate is self.winner) for estimate in ranked]
        return "\n".join([*lines, self.comparison.statement])


class NoVerdictError(RuntimeError):
    """The finalists cannot be compared: the message says why, and lists what there is."""


def choose_finalists(
    mean: NDArray[np.float64],
    identity: NDArray[np.float64],
    seen: Iterable[tuple[str, NDArray[np.float64], ProxyResult]],
    top_k: int,
) -> list[Finalist]:
    """The identity, the mean, and the top_k best of seen, (id, theta (D,), result), all distinct.

    The identity comes first, and so wins ties; none that failed or was lost enters.
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
    """Finalists, identity first, and results (F, M): the largest gain over the identity wins.

    A gain is the mean difference over the seeds under which both have a reward; of equals the first
    wins, so the identity wins unless another gains.

    Raises NoVerdictError when no finalist has two such seeds, or none was trained at all.
    """
    identity, *others = estimates = tuple(map(estimate, finalists, results))
    compared = [(one, compare(one, identity)) for one in others if len(_pairs(one, identity)) > 1]
    if reason := _obstacle(estimates, bool(compared)):
        lines = [_line(one, False) for one in sorted(estimates, key=_rank)]
        raise NoVerdictError("\n".join([f"No verdict: {reason}.", *lines]))
    winner, comparison = max(compared, key=lambda pair: pair[1].difference)
    if comparison.difference <= 0.0:
        statement = "The identity surface won: nothing found was better."
        return Selection(estimates, identity, Comparison(0.0, 0.0, False, statement))
    return Selection(estimates, winner, comparison)


def _obstacle(estimates: Sequence[Estimate], compared: bool) -> str:
    """Why there is no winner; "" when there is one."""
    if all(one.failures + one.lost == len(one.rewards) for one in estimates):
        return (
            "every evaluation of the final failed or was lost. Against failures a smaller learning "
            "rate often helps; resuming the search evaluates again what was lost"
        )
    if len(estimates) == 1:
        return "there is nothing to compare with the identity"
    if not compared:
        return (
            "fewer than two fresh seeds under which the identity and another finalist both have a "
            "reward. Resuming the search evaluates again what was lost"
        )
    return ""


def estimate(finalist: Finalist, results: Sequence[ProxyResult]) -> Estimate:
    """Mean and standard error of (M,) results; a failed one counts with its floor reward."""
    rewards = tuple(result.reward for result in results)
    failures, lost = (sum(one.status == kind for one in results) for kind in ("failed", "lost"))
    known = [reward for reward in rewards if not math.isnan(reward)]
    return Estimate(finalist, rewards, *mean_and_error(known), failures, lost)


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean of (M,) values, and s / sqrt(M) with s of M - 1 degrees of freedom.

    NaN for what cannot be known: both of no value, the error of one.
    """
    if not values:
        return math.nan, math.nan
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return mean, math.nan
    if min(values) == max(values):
        return values[0], 0.0  # a mean that is off by one rounding must not look like noise
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return mean, math.sqrt(variance / len(values))


def compare(one: Estimate, identity: Estimate) -> Comparison:
    """Paired t test at 5 %, two-sided: is one - identity beyond the noise of the seeds?

    Of two pairs or more. A winner is the best of several, which favours it a little: near the
    limit, use more seeds.
    """
    differences = [ours - theirs for ours, theirs in _pairs(one, identity)]
    difference, error = mean_and_error(differences)
    seeds = len(differences)
    beyond = difference > float(stats.t.ppf(0.975, seeds - 1)) * error
    verdict = "beyond the noise" if beyond else "NOT beyond the noise"
    statement = (
        f"{one.finalist.name} - identity = {difference:+.4f} ± {error:.4f} over {seeds} paired "
        f"seeds: {verdict} (t test, 5 %)."
    )
    return Comparison(difference, error, beyond, statement)


def _pairs(one: Estimate, identity: Estimate) -> list[tuple[float, float]]:
    """The rewards of both, under the seeds for which neither was lost."""
    pairs = zip(one.rewards, identity.rewards, strict=True)
    return [pair for pair in pairs if not any(map(math.isnan, pair))]


def _rank(one: Estimate) -> float:
    return math.inf if math.isnan(one.mean) else -one.mean


def _line(one: Estimate, won: bool) -> str:
    counts = {"failed": one.failures, "lost": one.lost}
    bad = [f"{count} of {len(one.rewards)} {what}" for what, count in counts.items() if count]
    mark = "*" if won else " "
    mean = "-" if math.isnan(one.mean) else f"{one.mean:.4f}"
    spread = "" if math.isnan(one.standard_error) else f" ± {one.standard_error:.4f}"
    return f"{mark} {one.finalist.name:<10} {mean}{spread}" + f"  ({', '.join(bad)})" * bool(bad)
