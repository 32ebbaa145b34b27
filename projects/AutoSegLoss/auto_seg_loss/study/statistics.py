"""Statistics of runs with several seeds, by SciPy: pure functions.

n: seeds that two losses share; L: losses of a rank correlation.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from tabulate import tabulate

LEVEL = 0.05
"""Significance level of tests; intervals hold with a probability of 1 - LEVEL."""

K = TypeVar("K", bound=Hashable)
BySeed = Mapping[int, float]
"""Seed -> value."""


@dataclass(frozen=True)
class Difference:
    """Mean of n paired differences, its 95 % interval, and the p-value of "there is none".

    low, high, p: NaN with a single pair. pairs: n. verdict: of ``judged``; "" for none.
    """

    mean: float
    low: float
    high: float
    p: float
    pairs: int
    verdict: Literal["better", "worse", ""] = ""

    @property
    def numbers(self) -> str:
        """Mean and interval; the mean alone without one; "-" without pairs."""
        if self.pairs == 0:
            return "-"
        known = not math.isnan(self.low)
        return f"{self.mean:+.2f}" + f" [{self.low:+.2f}, {self.high:+.2f}]" * known

    @property
    def words(self) -> str:
        """Numbers and verdict, or why there is none."""
        reason = ""
        if self.pairs < 2:
            reason = "(no verdict: fewer than two seeds in common)"
        elif math.isnan(self.mean):
            reason = "(no verdict: a training diverged)"
        return f"{self.numbers} {self.verdict or reason}".strip()


def paired_difference(values: BySeed, reference: BySeed) -> Difference:
    """Values minus reference, paired by the n seeds that both have, by Student's t.

    For equal differences, undefined in SciPy, the interval is a point, and p is 0 or, for
    differences of 0, 1. NaN, a run that diverged, makes everything NaN.
    """
    differences = np.array([values[s] - reference[s] for s in values if s in reference])
    count = len(differences)
    mean = float(differences.mean()) if count else math.nan
    if count < 2 or math.isnan(mean):
        return Difference(mean, math.nan, math.nan, math.nan, count)
    if np.ptp(differences) == 0:
        return Difference(mean, mean, mean, float(mean == 0), count)
    test = stats.ttest_1samp(differences, 0.0)
    low, high = test.confidence_interval(1 - LEVEL)
    return Difference(mean, float(low), float(high), float(test.pvalue), count)


def judged(claims: Mapping[K, Difference]) -> dict[K, Difference]:
    """The claims with verdicts that hold together at LEVEL, by Holm's method."""
    found = dict(claims)
    order = sorted((key for key in claims if claims[key].p >= 0), key=lambda key: claims[key].p)
    for rank, key in enumerate(order):
        if claims[key].p * (len(order) - rank) >= LEVEL:
            break
        found[key] = replace(claims[key], verdict="better" if claims[key].mean > 0 else "worse")
    return found


def note_if_equal(scores: ArrayLike) -> str:
    """A paragraph if all scores are equal and so do not distinguish the losses; else ""."""
    count = np.size(scores)
    if count < 2 or np.ptp(scores) != 0:
        return ""
    return (
        f"\n\nAll {count} scores are equal, so they do not distinguish the losses. Train "
        "longer, or at higher learning rates."
    )


def markdown(rows: Sequence[Sequence[object]], headers: Sequence[str]) -> str:
    """A table of texts; numbers keep trailing zeros."""
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def mean_and_spread(values: Collection[float], digits: int = 2) -> str:
    """``mean ± sample standard deviation``; the mean alone for a single value; "-" for none."""
    found = [*values]
    spread = f" ± {np.std(found, ddof=1):.{digits}f}" if len(found) > 1 else ""
    return f"{np.mean(found):.{digits}f}{spread}" if found else "-"


def rank_correlations(x: ArrayLike, y: ArrayLike, resamples: int = 2000) -> str:
    """Spearman's and Kendall's correlation of x (L,) and y (L,), each with its 95 % interval.

    The interval is the percentile bootstrap's; draws whose x or y are all equal have no ranks and
    are left out. With fewer than ten pairs it is too narrow. Equal arguments give equal texts.
    """
    a, b = np.asarray(x), np.asarray(y)
    draws = np.random.default_rng(0).integers(len(a), size=(resamples, len(a)))
    found = []
    for name, measure in (("Spearman", stats.spearmanr), ("Kendall", stats.kendalltau)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", stats.ConstantInputWarning)
            value = measure(a, b).statistic
            drawn = np.array([measure(a[draw], b[draw]).statistic for draw in draws])
        known = drawn[np.isfinite(drawn)]
        low, high = np.quantile(known, [LEVEL / 2, 1 - LEVEL / 2]) if known.size else [math.nan] * 2
        found.append(f"{name} {value:+.2f} [{low:+.2f}, {high:+.2f}]")
    return ", ".join(found)
