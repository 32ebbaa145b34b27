"""Statistics of repeated evaluations of a theta: mean, standard error, paired comparison.

Shapes: M fresh seeds at most, D search coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rl.proxy import ProxyResult


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean of (M,) values, and s / sqrt(M) with s of M - 1 degrees of freedom.

    NaN if unknown: both without values, the error of a single value.
    """
    if not values:
        return math.nan, math.nan
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return mean, math.nan
    if min(values) == max(values):
        return values[0], 0.0  # rounding of the mean must not look like noise
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return mean, math.sqrt(variance / len(values))


@dataclass(frozen=True, eq=False)
class Finalist:
    """A theta (D,) in the final, under a name: "identity", "mean", or its candidate id.

    `results`: (M,), under its fresh seeds, in order.
    """

    name: str
    theta: NDArray[np.float64]
    results: tuple[ProxyResult, ...] = ()

    @property
    def rewards(self) -> tuple[float, ...]:
        """(M,): the floor for failed evaluations, NaN for lost ones."""
        return tuple(result.reward for result in self.results)

    @cached_property
    def known(self) -> list[float]:
        """The rewards without lost ones."""
        return [one for one in self.rewards if not math.isnan(one)]

    @property
    def mean(self) -> float:
        """Mean of the known rewards."""
        return mean_and_error(self.known)[0]

    def count(self, status: str) -> int:
        """Number of results with this status."""
        return sum(result.status == status for result in self.results)

    def minus(self, other: Finalist) -> list[float]:
        """Differences of the rewards under the seeds for which both have one."""
        pairs = zip(self.rewards, other.rewards, strict=False)
        return [ours - theirs for ours, theirs in pairs if not math.isnan(ours - theirs)]

    def is_ahead_of(self, other: Finalist, level: float) -> bool:
        """One-sided paired t test; False for fewer than two pairs."""
        differences = self.minus(other)
        mean, error = mean_and_error(differences)
        return len(differences) > 1 and mean > _quantile(level, len(differences) - 1) * error

    def gain_over(self, identity: Finalist) -> float:
        """Mean difference; 0 for the identity itself, -infinity for fewer than two pairs."""
        differences = self.minus(identity)
        if self is identity:
            return 0.0
        return mean_and_error(differences)[0] if len(differences) > 1 else -math.inf

    def __str__(self) -> str:
        """Name, mean ± standard error, number of seeds, and how many gave no score."""
        mean, error = mean_and_error(self.known)
        shown = "-" if math.isnan(mean) else f"{mean:.4f}"
        shown += "" if math.isnan(error) else f" ± {error:.4f}"
        seeds = len(self.results)
        counts = {what: self.count(what) for what in ("failed", "lost")}
        bad = ", ".join(f"{count} of {seeds} {what}" for what, count in counts.items() if count)
        return f"{self.name:<10} {shown}  {seeds} seeds" + f"  ({bad})" * bool(bad)


@cache
def _quantile(level: float, freedom: int) -> float:
    return float(stats.t.isf(level, freedom))
