"""What runs of several seeds say, by SciPy: pure functions.

n: seeds that two losses share; K: losses of a rank correlation.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from tabulate import tabulate

LEVEL = 0.05
"""Of tests; intervals hold with a probability of 1 - LEVEL."""

Verdict = Literal["better", "worse", ""]


@dataclass(frozen=True)
class Difference:
    """Mean of n paired differences, its 95 % interval, and the p-value of "there is none".

    low, high, p: NaN with a single pair. pairs: n.
    """

    mean: float
    low: float
    high: float
    p: float
    pairs: int

    @property
    def numbers(self) -> str:
        """Mean and interval; the mean alone without one; "-" without pairs."""
        if self.pairs == 0:
            return "-"
        known = not math.isnan(self.low)
        return f"{self.mean:+.2f}" + f" [{self.low:+.2f}, {self.high:+.2f}]" * known


def paired_difference(values: Sequence[float], reference: Sequence[float]) -> Difference:
    """Values (n,) less reference (n,), pair by pair, by Student's t.

    For equal differences, which SciPy leaves open, the interval is a point, and p is 0 or, for
    differences of 0, 1. NaN, a run that diverged, makes all NaN. ValueError for sequences of
    different length.
    """
    differences = np.array([a - b for a, b in zip(values, reference, strict=True)])
    count = len(differences)
    mean = float(differences.mean()) if count else math.nan
    if count < 2 or math.isnan(mean):
        return Difference(mean, math.nan, math.nan, math.nan, count)
    if np.ptp(differences) == 0:
        return Difference(mean, mean, mean, float(mean == 0), count)
    test = stats.ttest_1samp(differences, 0.0)
    low, high = test.confidence_interval(1 - LEVEL)
    return Difference(mean, float(low), float(high), float(test.pvalue), count)


def verdicts(claims: Sequence[Difference]) -> list[Verdict]:
    """ "better" or "worse" for the claims that hold together at LEVEL, by Holm's method."""
    found: list[Verdict] = [""] * len(claims)
    order = sorted((i for i, one in enumerate(claims) if one.p >= 0), key=lambda i: claims[i].p)
    for rank, i in enumerate(order):
        if claims[i].p * (len(order) - rank) >= LEVEL:
            break
        found[i] = "better" if claims[i].mean > 0 else "worse"
    return found


def in_words(claim: Difference, verdict: Verdict) -> str:
    """Numbers and verdict, or why there can be none."""
    reason = ""
    if claim.pairs < 2:
        reason = "(no verdict: fewer than two seeds in common)"
    elif math.isnan(claim.mean):
        reason = "(no verdict: a training diverged)"
    return f"{claim.numbers} {verdict or reason}".strip()


def note_if_equal(scores: ArrayLike) -> str:
    """A paragraph for scores that are all equal, and show nothing of their losses; else ""."""
    count = np.size(scores)
    if count < 2 or np.ptp(scores) != 0:
        return ""
    return (
        f"\n\nAll {count} scores are equal, so that they do not tell the losses apart. Train "
        "longer, or at higher learning rates."
    )


def markdown(rows: Sequence[Sequence[object]], headers: Sequence[str]) -> str:
    """A table of texts; numbers among them keep their zeros."""
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def mean_and_spread(values: Sequence[float]) -> str:
    """``mean ± sample standard deviation``; the mean alone for a single value; "-" for none."""
    if len(values) < 2:
        return f"{values[0]:.2f}" if values else "-"
    return f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"


def rank_correlations(x: ArrayLike, y: ArrayLike, resamples: int = 2000) -> str:
    """Spearman's and Kendall's correlation of x (K,) and y (K,), each with its 95 % interval.

    The interval is the percentile bootstrap's; draws whose x or y are all equal have no ranks and
    are left out. Of few pairs, less than ten, it is too narrow. Equal arguments give equal texts.
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
