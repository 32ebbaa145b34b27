"""What runs of several seeds say: pure functions.

n: seeds that two losses share; K: losses of a rank correlation; B: resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from rl.selection import mean_and_error

CONFIDENCE = 0.95

Array = NDArray[np.float64]
Verdict = Literal["better", "worse", ""]


@dataclass(frozen=True)
class Difference:
    """Mean of n paired differences, and the interval that holds the true one in 95 of 100 studies.

    low, high: NaN with a single pair. pairs: n.
    """

    mean: float
    low: float
    high: float
    pairs: int

    @property
    def verdict(self) -> Verdict:
        """ "better" or "worse" only when the interval excludes 0."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else ""

    @property
    def in_words(self) -> str:
        """The verdict, or why there is none."""
        if self.pairs < 2:
            return "(no verdict: fewer than two seeds in common)"
        return "(no verdict: a training diverged)" if math.isnan(self.mean) else self.verdict

    @property
    def numbers(self) -> str:
        """Mean and interval; the mean alone without one; "-" without pairs."""
        if self.pairs == 0:
            return "-"
        known = not math.isnan(self.low)
        return f"{self.mean:+.2f}" + f" [{self.low:+.2f}, {self.high:+.2f}]" * known

    def __str__(self) -> str:
        return " ".join([self.numbers, self.in_words]).strip()


def paired_difference(
    values: Sequence[float], reference: Sequence[float], confidence: float = CONFIDENCE
) -> Difference:
    """Values (n,) less reference (n,), pair by pair, with Student's t interval of their mean.

    The interval of ``scipy.stats.ttest_rel(values, reference).confidence_interval(confidence)``,
    but for equal differences, whose interval is a point. NaN, a run that diverged, makes all NaN.
    ValueError for sequences of different length.
    """
    differences = [a - b for a, b in zip(values, reference, strict=True)]
    count = len(differences)
    if count == 0:
        return Difference(math.nan, math.nan, math.nan, 0)
    mean, error = mean_and_error(differences)
    if count == 1 or math.isnan(mean):
        return Difference(mean, math.nan, math.nan, count)
    half = float(stats.t.ppf((1 + confidence) / 2, count - 1)) * error
    return Difference(mean, mean - half, mean + half, count)


def mean_and_spread(values: Sequence[float]) -> str:
    """``mean ± sample standard deviation``; the mean alone for a single value; "-" for none."""
    if not len(values):
        return "-"
    mean = f"{np.mean(values):.2f}"
    return mean if len(values) < 2 else f"{mean} ± {np.std(values, ddof=1):.2f}"


@dataclass(frozen=True)
class Correlation:
    """A rank correlation in [-1, 1] of K pairs, and its 95 % bootstrap interval."""

    name: str
    value: float
    low: float
    high: float
    pairs: int

    def __str__(self) -> str:
        return f"{self.name} {self.value:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"


def spearman(x: Array, y: Array) -> float:
    """Pearson's correlation of the ranks of x (K,) and y (K,); NaN when one is constant."""
    ranks = stats.rankdata(np.stack([x, y]), axis=1)
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    scale = math.sqrt(float(np.prod((centred**2).sum(axis=1))))
    return float(centred[0] @ centred[1]) / scale if scale > 0 else math.nan


def kendall(x: Array, y: Array) -> float:
    """Kendall's tau-b of x (K,) and y (K,); NaN when one is constant.

    Pairs in the same order less pairs in opposite order, over the pairs that are no ties, the
    geometric mean of both sides' numbers.
    """
    signs = [np.sign(values[:, None] - values) for values in (x, y)]
    scale = math.sqrt(float((signs[0] ** 2).sum() * (signs[1] ** 2).sum()))
    return float((signs[0] * signs[1]).sum()) / scale if scale > 0 else math.nan


RANK_CORRELATIONS: dict[str, Callable[[Array, Array], float]] = {
    "Spearman": spearman,
    "Kendall": kendall,
}


def rank_correlations(
    x: ArrayLike, y: ArrayLike, *, seed: int = 0, resamples: int = 2000
) -> list[Correlation]:
    """Spearman's and Kendall's correlation of x (K,) and y (K,), each with its interval.

    The interval is the percentile bootstrap's: B = ``resamples`` draws of K pairs with repetition;
    draws whose x or y are all equal have no ranks and are left out. Of few pairs, less than ten,
    it is too narrow. Equal seeds give equal intervals. ValueError for fewer than 3 pairs, and for
    lists of different length.
    """
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1 or len(a) < 3:
        raise ValueError(f"expected two lists of 3 or more numbers, got {a.shape} and {b.shape}")
    draws = np.random.default_rng(seed).integers(len(a), size=(resamples, len(a)))
    found = []
    for name, measure in RANK_CORRELATIONS.items():
        drawn = np.array([measure(a[draw], b[draw]) for draw in draws])
        edges = [math.nan, math.nan]
        if np.isfinite(drawn).any():
            tail = (1 - CONFIDENCE) / 2
            edges = np.nanquantile(drawn, [tail, 1 - tail]).tolist()
        found.append(Correlation(name, measure(a, b), edges[0], edges[1], len(a)))
    return found
