"""statistics.py against SciPy, and by hand."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from scipy import stats

from auto_seg_loss.study.statistics import (
    kendall,
    mean_and_spread,
    paired_difference,
    rank_correlations,
    spearman,
)

NAN = float("nan")


@pytest.mark.parametrize("count", [2, 3, 5, 20])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_interval_is_that_of_the_paired_t_test(count, confidence):
    values, reference = np.random.default_rng(count).normal(size=(2, count))
    found = paired_difference(values, reference, confidence)
    expected = stats.ttest_rel(values, reference).confidence_interval(confidence)
    assert found.pairs == count
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert found.mean == pytest.approx(np.mean(values - reference), rel=1e-12)


@pytest.mark.parametrize("shift, verdict", [(3.0, "better"), (-3.0, "worse"), (0.0, "")])
def test_a_verdict_is_that_of_the_t_test_at_five_percent(shift, verdict):
    values, reference = np.random.default_rng(1).normal(size=(2, 6))
    found = paired_difference(values + shift, reference)
    assert found.verdict == verdict
    assert (stats.ttest_rel(values + shift, reference).pvalue < 0.05) == bool(verdict)


def test_pairs_take_out_what_seeds_have_in_common():
    """Unpaired, the spread of the seeds would hide the difference."""
    found = paired_difference([11.0, 21.0, 31.5], [10.0, 20.0, 30.0])
    assert found.verdict == "better"
    assert str(found) == "+1.17 [+0.45, +1.88] better"  # 7/6 ± 4.3027 x 0.28868 / sqrt(3)


@pytest.mark.parametrize(
    "values, reference, text",
    [
        ([50.0], [40.0], "+10.00 (no verdict: fewer than two seeds in common)"),
        ([], [], "- (no verdict: fewer than two seeds in common)"),
        ([NAN, 2.0], [1.0, 1.0], "+nan (no verdict: a training diverged)"),
        ([2.0, 3.0], [1.0, 2.0], "+1.00 [+1.00, +1.00] better"),
        ([2.0, 3.0], [2.0, 3.0], "+0.00 [+0.00, +0.00]"),
    ],
)
def test_differences_in_words(values, reference, text):
    assert str(paired_difference(values, reference)) == text


def test_lists_of_different_length_are_no_pairs():
    with pytest.raises(ValueError):
        paired_difference([1.0], [1.0, 2.0])


@pytest.mark.parametrize(
    "values, text",
    [
        ([50.0], "50.00"),
        ([50.0, 52.0], "51.00 ± 1.41"),  # sqrt(2)
        ([1.0, 2.0, 6.0], "3.00 ± 2.65"),  # sqrt(7)
        ([40.0, 40.0, 40.0], "40.00 ± 0.00"),
        ([NAN], "nan"),
        ([50.0, NAN], "nan ± nan"),
        ([], "-"),
    ],
)
def test_mean_and_spread(values, text):
    assert mean_and_spread(values) == text
    if len(values) > 1 and "nan" not in text:
        assert text.endswith(f"{statistics.stdev(values):.2f}")


@pytest.mark.parametrize(
    "measure, expected", [(spearman, stats.spearmanr), (kendall, stats.kendalltau)]
)
@pytest.mark.parametrize("values", [100, 4], ids=["distinct", "ties"])
def test_rank_correlations_are_those_of_scipy(measure, expected, values):
    x, y = np.random.default_rng(0).integers(values, size=(2, 12)).astype(float)
    assert measure(x, y) == pytest.approx(expected(x, y).statistic, abs=1e-12)


def test_constant_values_have_no_ranks():
    assert math.isnan(spearman(np.ones(3), np.arange(3.0)))
    assert math.isnan(kendall(np.ones(3), np.arange(3.0)))


def test_the_bootstrap_is_that_of_scipy_with_the_same_draws():
    x, y = np.random.default_rng(3).normal(size=(2, 15))
    y += x
    found = rank_correlations(x, y, seed=5, resamples=400)
    measures = {"Spearman": stats.spearmanr, "Kendall": stats.kendalltau}
    assert [one.name for one in found] == list(measures)
    for one in found:
        draws = np.random.default_rng(5).integers(15, size=(400, 15))
        values = [measures[one.name](x[d], y[d]).statistic for d in draws]
        expected = np.quantile(values, [0.025, 0.975])
        assert (one.low, one.high) == pytest.approx(tuple(expected), abs=1e-12)
        assert one.low < one.value < one.high and one.pairs == 15


def test_equal_seeds_give_equal_intervals_and_others_do_not():
    x, y = np.random.default_rng(0).normal(size=(2, 8))
    first, again, other = (rank_correlations(x, y, seed=s, resamples=50) for s in (1, 1, 2))
    assert first == again != other


def test_draws_without_ranks_are_left_out():
    """Of three values many draws repeat one three times."""
    found = rank_correlations([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], resamples=100)
    assert [(one.value, one.low, one.high) for one in found] == [(1.0, 1.0, 1.0)] * 2


@pytest.mark.parametrize("x, y", [([1.0, 2.0], [1.0, 2.0]), ([1.0] * 4, [1.0] * 3)])
def test_too_few_pairs_are_refused(x, y):
    with pytest.raises(ValueError, match="two lists of 3 or more numbers"):
        rank_correlations(x, y)
