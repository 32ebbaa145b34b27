"""The final choice, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rl.proxy import ProxyResult, failed, lost
from rl.selection import Estimate, Finalist, choose_finalists, list_estimates, mean_and_error

IDENTITY, MEAN = np.array([0.5, 0.5]), np.array([0.4, 0.6])


def _seen(*rows: tuple[str, float, float]) -> list:
    return [(name, np.array([x, x]), reward) for name, x, reward in rows]


def test_mean_and_error_by_hand() -> None:
    # s^2 = (1 + 0 + 1) / 2 = 1, error = 1 / sqrt(3)
    assert mean_and_error([1.0, 2.0, 3.0]) == pytest.approx((2.0, 1 / math.sqrt(3)))


def test_one_value_has_no_error_and_equal_values_none_at_all() -> None:
    mean, error = mean_and_error([0.3])
    assert mean == 0.3
    assert math.isnan(error)
    assert mean_and_error([0.1] * 3) == (0.1, 0.0)


def test_finalists_are_identity_mean_and_the_best() -> None:
    seen = _seen(("a", 0.1, 0.2), ("b", 0.2, 0.9), ("c", 0.3, 0.5), ("d", 0.9, 0.5))
    finalists = choose_finalists(MEAN, IDENTITY, seen, top_k=2)
    assert [one.name for one in finalists] == ["identity", "mean", "b", "c"]


def test_finalists_are_distinct() -> None:
    seen = _seen(("same", 0.5, 0.9), ("b", 0.2, 0.8), ("b2", 0.2 + 1e-9, 0.7))
    finalists = choose_finalists(IDENTITY + 1e-12, IDENTITY, seen, top_k=3)
    assert [one.name for one in finalists] == ["identity", "b"]


def test_a_failure_counts_with_the_floor_and_a_loss_not_at_all() -> None:
    one = Estimate(Finalist("x", MEAN), (ProxyResult(0.6), failed("NaN"), lost("no memory")))
    assert (one.mean, one.rewards[:2]) == (0.3, (0.6, 0.0))
    assert [one.count(status) for status in ("ok", "failed", "lost")] == [1, 1, 1]
    other = Estimate(Finalist("y", MEAN), (ProxyResult(0.5), ProxyResult(0.25)))
    assert one.minus(other) == pytest.approx([0.1, -0.25])


def test_the_list_says_how_much_each_line_rests_on() -> None:
    one = Estimate(Finalist("one", MEAN), (ProxyResult(0.4), ProxyResult(0.6)))
    short = Estimate(Finalist("short", MEAN), (ProxyResult(0.9),))
    bad = Estimate(Finalist("bad", MEAN), (failed("NaN"), lost("no memory")))
    gone = Estimate(Finalist("gone", MEAN), (lost("no memory"),) * 2)
    assert list_estimates([gone, short, bad, one], one) == [
        "* one        0.5000 ± 0.1000  2 seeds",
        "  bad        0.0000  2 seeds  (1 of 2 failed, 1 of 2 lost)",
        "  gone       -  2 seeds  (2 of 2 lost)",
        "  short      0.9000  1 seeds",
    ]
