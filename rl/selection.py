"""The final choice: who enters it, what it measured of each, and the report.

A reward seen during the search is the best of many noisy ones, and so too good. Finalists are
evaluated again under seeds of their own, the same for each, so differences are paired: `rl.race`.

Shapes: M fresh seeds, D search coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

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
    """A finalist and its (M,) results, under the fresh seeds it had, in their order."""

    finalist: Finalist
    results: tuple[ProxyResult, ...]

    @property
    def rewards(self) -> tuple[float, ...]:
        """(M,): the floor for what failed, NaN for what was lost."""
        return tuple(result.reward for result in self.results)

    @cached_property
    def mean(self) -> float:
        """Of the rewards that are known."""
        return self._mean_and_error[0]

    @cached_property
    def standard_error(self) -> float:
        """See `mean_and_error`."""
        return self._mean_and_error[1]

    @cached_property
    def _mean_and_error(self) -> tuple[float, float]:
        return mean_and_error([one for one in self.rewards if not math.isnan(one)])

    def count(self, status: str) -> int:
        """How many of its results have this status."""
        return sum(result.status == status for result in self.results)

    def minus(self, other: Estimate) -> list[float]:
        """Differences of the rewards under each seed that both had and for which none was lost."""
        pairs = zip(self.rewards, other.rewards, strict=False)
        return [ours - theirs for ours, theirs in pairs if not math.isnan(ours - theirs)]


@dataclass(frozen=True)
class Comparison:
    """A finalist minus identity, paired over the seeds that both have, and what it says."""

    difference: float
    standard_error: float
    beyond_noise: bool
    statement: str


@dataclass(frozen=True, eq=False)
class Selection:
    """All estimates in the order of the finalists, the winner among them, and its meaning.

    `ending` says how the race ended.
    """

    estimates: tuple[Estimate, ...]
    winner: Estimate
    comparison: Comparison
    ending: str

    def report(self) -> str:
        """One line per finalist, longest in the race and then best first, and two statements."""
        lines = list_estimates(self.estimates, self.winner)
        return "\n".join([*lines, self.ending, self.comparison.statement])


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
    return [_line(one, one is winner) for one in sorted(estimates, key=_rank)]


def _rank(one: Estimate) -> tuple[int, float]:
    return -len(one.results), math.inf if math.isnan(one.mean) else -one.mean


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
