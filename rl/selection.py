"""The final choice: who enters it, a race over fresh seeds, and the report.

A reward seen during the search is the best of many noisy ones, and so too good. Finalists are
evaluated again under seeds of their own, the same for each, so differences are paired; who falls
behind by more than noise gets no further seed. Maron and Moore, "Hoeffding Races" (NeurIPS 1993),
with paired t tests in the place of their bound.

Shapes: F finalists, M fresh seeds at most, D search coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rl.proxy import ProxyResult

IDENTITY = "identity"
MEAN = "mean"

ERROR = 0.05
"""The chance that a race drops its best finalist, and the chance that it calls a finalist better
than the identity which is not: each at most this, over all its seeds and finalists."""

_SAME = 1e-6
"""Thetas closer than this in every coordinate draw the same curves and count as one."""


class NoVerdictError(RuntimeError):
    """The finalists cannot be compared: the message says why, and lists what there is."""


@dataclass(frozen=True, eq=False)
class Finalist:
    """A theta (D,) in the final, under a name: "identity", "mean", or its candidate id."""

    name: str
    theta: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Estimate:
    """A finalist and its (M,) results, under the fresh seeds it had, in their order."""

    finalist: Finalist
    results: tuple[ProxyResult, ...] = ()

    @property
    def rewards(self) -> tuple[float, ...]:
        """(M,): the floor for what failed, NaN for what was lost."""
        return tuple(result.reward for result in self.results)

    @cached_property
    def mean(self) -> float:
        """Of the rewards that are known."""
        return mean_and_error(self._known)[0]

    @cached_property
    def standard_error(self) -> float:
        """See `mean_and_error`."""
        return mean_and_error(self._known)[1]

    @property
    def _known(self) -> list[float]:
        return [one for one in self.rewards if not math.isnan(one)]

    def count(self, status: str) -> int:
        """How many of its results have this status."""
        return sum(result.status == status for result in self.results)

    def minus(self, other: Estimate) -> list[float]:
        """Differences of the rewards under each seed that both had and for which none was lost."""
        pairs = zip(self.rewards, other.rewards, strict=False)
        return [ours - theirs for ours, theirs in pairs if not math.isnan(ours - theirs)]

    def is_ahead_of(self, other: Estimate, level: float) -> bool:
        """One-sided paired t test; False for fewer than two pairs."""
        differences = self.minus(other)
        mean, error = mean_and_error(differences)
        return len(differences) > 1 and mean > _quantile(level, len(differences) - 1) * error

    def gain_over(self, identity: Estimate) -> float:
        """Mean difference; 0 of the identity itself, -infinity for fewer than two pairs."""
        differences = self.minus(identity)
        if self is identity:
            return 0.0
        return mean_and_error(differences)[0] if len(differences) > 1 else -math.inf


@dataclass(frozen=True, eq=False)
class Selection:
    """All estimates in the order of the finalists, the identity first, and the winner.

    `ending` says how the race ended, `statement` what the winner gains over the identity, under the
    seeds that both have, and whether that is `beyond_noise`.
    """

    estimates: tuple[Estimate, ...]
    winner: Estimate
    ending: str
    statement: str
    beyond_noise: bool

    def report(self) -> str:
        """One line per finalist, longest in the race and then best first, and two statements."""
        lines = list_estimates(self.estimates, self.winner)
        return "\n".join([*lines, self.ending, self.statement])


def choose_finalists(
    mean: NDArray[np.float64],
    identity: NDArray[np.float64],
    seen: Iterable[tuple[str, NDArray[np.float64], float]],
    top_k: int,
) -> list[Finalist]:
    """The identity, the mean, and the top_k best of seen, (id, theta (D,), score), all distinct.

    The identity comes first, and so wins ties.
    """
    finalists = [Finalist(IDENTITY, identity)]
    _add_distinct(finalists, Finalist(MEAN, mean))
    size = len(finalists) + top_k
    for name, theta, _ in sorted(seen, key=lambda row: -row[2]):
        if len(finalists) == size:
            break
        _add_distinct(finalists, Finalist(name, theta))
    return finalists


def _add_distinct(finalists: list[Finalist], new: Finalist) -> None:
    distances = [float(np.max(np.abs(new.theta - old.theta))) for old in finalists]
    if min(distances) > _SAME:
        finalists.append(new)


def race(
    finalists: Sequence[Finalist],
    seeds: int,
    evaluate: Callable[[int, Sequence[int]], Iterable[ProxyResult]],
) -> Selection:
    """Let finalists, identity first, race over at most ``seeds`` fresh seeds.

    After each seed the leader is who gains most over the identity: by the mean difference over the
    seeds under which both have a reward, two at least; of equals the first. Who is beyond noise
    behind the leader drops out, and when one is left the race is over. The identity is
    evaluated as long as any other, for all are measured by it.

    Beyond noise: one-sided paired t test, at the level ERROR over the number of tests in which one
    finalist can lose (Bonferroni): against F - 1 others, after each seed but the first.

    Args:
        finalists: F of them, distinct.
        seeds: M >= 2.
        evaluate: number of a seed, indices of finalists -> their results.

    Raises NoVerdictError when no finalist has two seeds in common with the identity, or none was
    trained at all.
    """
    if len(finalists) == 1:
        raise NoVerdictError(
            "No verdict: no candidate has a reward, there is nothing to compare with the identity. "
            "Where candidates fail, a smaller learning rate often helps."
        )
    level = ERROR / ((len(finalists) - 1) * (seeds - 1))
    estimates = [Estimate(finalist) for finalist in finalists]
    left, leader = list(range(len(finalists))), 0
    for seed in range(seeds):
        running = sorted({0, *left})
        for i, result in zip(running, evaluate(seed, running), strict=True):
            estimates[i] = Estimate(finalists[i], (*estimates[i].results, result))
        leader = max(left, key=lambda i: estimates[i].gain_over(estimates[0]))
        left = [i for i in left if not estimates[leader].is_ahead_of(estimates[i], level)]
        if len(left) == 1:
            break
    _check_verdict(estimates)
    winner = estimates[leader]
    ending = _ending(winner, [estimates[i] for i in left], seeds)
    beyond = winner.is_ahead_of(estimates[0], level)
    statement = _statement(winner, estimates[0], beyond)
    return Selection(tuple(estimates), winner, ending, statement, beyond)


def _statement(one: Estimate, identity: Estimate, beyond: bool) -> str:
    if one is identity:
        return "The identity won: nothing found was better."
    differences = one.minus(identity)
    difference, error = mean_and_error(differences)
    verdict = "beyond the noise" if beyond else "NOT beyond the noise"
    return (
        f"{one.finalist.name} - identity = {difference:+.4f} ± {error:.4f} over {len(differences)} "
        f"paired seeds: {verdict} (t tests, {ERROR:.0%} for the whole race)."
    )


def _ending(leader: Estimate, left: Sequence[Estimate], seeds: int) -> str:
    name, had = leader.finalist.name, len(leader.results)
    others = ", ".join(one.finalist.name for one in left if one is not leader)
    if not others:
        return f"Race over after {had} of {seeds} seeds: {name} is ahead of all beyond the noise."
    return f"Race over, all {seeds} seeds used: {name} leads, but not beyond the noise: {others}."


def _check_verdict(estimates: Sequence[Estimate]) -> None:
    trained = any(one.count("ok") for one in estimates)
    if trained and any(len(one.minus(estimates[0])) > 1 for one in estimates[1:]):
        return
    reason = (
        "No verdict: it takes two fresh seeds under which the identity and another finalist both "
        "have a reward, and one evaluation that did not fail. Against failures a smaller learning "
        "rate often helps; resuming the search evaluates again what was lost."
    )
    raise NoVerdictError("\n".join([reason, *list_estimates(estimates)]))


@cache
def _quantile(level: float, freedom: int) -> float:
    return float(stats.t.isf(level, freedom))


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


def list_estimates(estimates: Iterable[Estimate], winner: Estimate | None = None) -> list[str]:
    """One line each, those with the most seeds first and then the best; "*" marks the winner."""

    def rank(one: Estimate) -> tuple[int, float]:
        return -len(one.results), math.inf if math.isnan(one.mean) else -one.mean

    return [_line(one, one is winner) for one in sorted(estimates, key=rank)]


def _line(one: Estimate, won: bool) -> str:
    seeds = len(one.results)
    bad = [
        f"{count} of {seeds} {what}" for what in ("failed", "lost") if (count := one.count(what))
    ]
    mark = "*" if won else " "
    mean = "-" if math.isnan(one.mean) else f"{one.mean:.4f}"
    spread = "" if math.isnan(one.standard_error) else f" ± {one.standard_error:.4f}"
    more = f"  ({', '.join(bad)})" * bool(bad)
    return f"{mark} {one.finalist.name:<10} {mean}{spread}  {seeds} seeds{more}"
