"""statistics.py by hand, and against SciPy."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from scipy import stats

from auto_seg_loss.study.statistics import Difference, judged, paired_difference, rank_correlations

NAN = math.nan


@pytest.mark.parametrize("count", [2, 3, 20])
def test_a_difference_is_that_of_the_paired_t_test(count):
    values, reference = np.random.default_rng(count).normal(size=(2, count))
    found = paired_difference(dict(enumerate(values)), dict(enumerate(reference)))
    gains = values - reference
    error = gains.std(ddof=1) / count**0.5
    half = stats.t.ppf(0.975, count - 1) * error
    expected = (gains.mean(), gains.mean() - half, gains.mean() + half)
    assert (found.mean, found.low, found.high) == pytest.approx(expected, rel=1e-12)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(gains.mean()) / error, count - 1), rel=1e-12)


@pytest.mark.parametrize(
    "values, reference, text",
    [
        ([11.0, 21.0, 31.5], [10.0, 20.0, 30.0], "+1.17 [+0.45, +1.88] better"),  # paired
        ([50.0, 1.0], [40.0], "+10.00 (no verdict: fewer than two seeds in common)"),
        ([], [1.0], "- (no verdict: fewer than two seeds in common)"),
        ([NAN, 2.0], [1.0, 1.0], "+nan (no verdict: a training diverged)"),
        ([2.0, 3.0], [1.0, 2.0], "+1.00 [+1.00, +1.00] better"),
        ([2.0, 3.0], [2.0, 3.0], "+0.00 [+0.00, +0.00]"),
    ],
)
def test_differences_in_words(values, reference, text):
    found = paired_difference(dict(enumerate(values)), dict(enumerate(reference)))
    assert judged({"it": found})["it"].words == text


@pytest.mark.parametrize(
    "pvalues, held",
    [
        ([0.04], [1]),
        ([0.04, 0.03], [0, 0]),  # 0.03 x 2 > 0.05
        ([0.04, 0.02], [1, 1]),  # 0.02 x 2, then 0.04 x 1
        ([0.01, 0.04, 0.02, 0.005], [1, 1, 1, 1]),  # 0.005 x 4, 0.01 x 3, 0.02 x 2, 0.04
        ([0.01, 0.04, 0.03, 0.005], [1, 0, 0, 1]),  # 0.03 x 2 ends it
        ([NAN, 0.04], [0, 1]),  # what cannot be tested is no claim
        ([], []),
    ],
)
def test_claims_hold_together(pvalues, held):
    claims = {i: Difference((-1.0) ** i, 0.0, 0.0, p, 5) for i, p in enumerate(pvalues)}
    words = [("better", "worse")[i % 2] if one else "" for i, one in enumerate(held)]
    assert [one.verdict for one in judged(claims).values()] == words


def test_rank_correlations_by_hand():
    """Of three values many draws repeat one three times, and are left out."""
    text = rank_correlations([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], resamples=100)
    assert text == "Spearman +1.00 [+1.00, +1.00], Kendall +1.00 [+1.00, +1.00]"
    reversed_ = rank_correlations([1.0, 2.0, 3.0, 4.0], [4.0, 2.0, 3.0, 1.0], resamples=9)
    values = re.findall(r"(\w+) ([-+.\d]+) \[", reversed_)
    assert values == [("Spearman", "-0.80"), ("Kendall", "-0.67")]
    assert rank_correlations([1, 1, 1], [1, 2, 3], resamples=2).count("nan") == 6


def test_the_interval_of_a_correlation_is_the_bootstraps():
    x, y = np.random.default_rng(3).normal(size=(2, 15))
    y += x
    draws = np.random.default_rng(0).integers(15, size=(50, 15))
    values = [stats.spearmanr(x[d], y[d]).statistic for d in draws]
    low, high = np.quantile(values, [0.025, 0.975])
    assert f"[{low:+.2f}, {high:+.2f}], Kendall" in rank_correlations(x, y, resamples=50)
