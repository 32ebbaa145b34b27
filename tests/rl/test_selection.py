"""The final choice, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rl.proxy import ProxyResult, failed
from rl.selection import (
    Finalist,
    choose_finalists,
    compare,
    estimate,
    mean_and_error,
    select,
)

IDENTITY, MEAN = np.array([0.5, 0.5]), np.array([0.4, 0.6])


def _results(*rewards: float) -> list[ProxyResult]:
    return [ProxyResult(reward) for reward in rewards]


def _seen(*rows: tuple[str, float, float]) -> list:
    return [(name, np.array([x, x]), ProxyResult(reward)) for name, x, reward in rows]


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


def test_finalists_are_distinct_and_none_has_failed() -> None:
    seen = [
        *_seen(("same", 0.5, 0.9), ("b", 0.2, 0.8), ("b2", 0.2 + 1e-9, 0.7)),
        ("bad", np.array([0.7, 0.7]), failed("NaN")),
    ]
    finalists = choose_finalists(IDENTITY + 1e-12, IDENTITY, seen, top_k=3)
    assert [one.name for one in finalists] == ["identity", "b"]


def test_failures_count_with_the_floor() -> None:
    one = estimate(Finalist("x", MEAN), [ProxyResult(0.6), failed("NaN")])
    assert (one.mean, one.failures, one.rewards) == (0.3, 1, (0.6, 0.0))


def test_comparison_is_paired() -> None:
    # Differences 0.01, 0.02, 0.03: mean 0.02, error 0.01 / sqrt(3), t = 3.46 < 4.303.
    identity = estimate(Finalist("identity", IDENTITY), _results(0.1, 0.5, 0.9))
    winner = estimate(Finalist("mean", MEAN), _results(0.11, 0.52, 0.93))
    comparison = compare(winner, identity)
    assert comparison.difference == pytest.approx(0.02)
    assert comparison.standard_error == pytest.approx(0.01 / math.sqrt(3))
    assert not comparison.beyond_noise
    assert comparison.statement == (
        "mean - identity = +0.0200 ± 0.0058 over 3 paired seeds: "
        "NOT beyond the noise (t test, 5 %)."
    )


def test_a_steady_gain_is_beyond_the_noise() -> None:
    finalists = [Finalist("identity", IDENTITY), Finalist("mean", MEAN), Finalist("b", MEAN)]
    results = [_results(0.1, 0.5, 0.9), _results(0.0, 0.0, 0.0), _results(0.12, 0.52, 0.921)]
    selection = select(finalists, results)
    assert selection.winner.finalist.name == "b"
    assert selection.comparison.beyond_noise
    assert ": beyond the noise" in selection.comparison.statement
    best, *_, statement = selection.report().splitlines()
    assert best == "* b          0.5203 ± 0.2312"
    assert statement == selection.comparison.statement


def test_identity_wins_ties() -> None:
    finalists = [Finalist("identity", IDENTITY), Finalist("mean", MEAN)]
    selection = select(finalists, [_results(0.5, 0.5), _results(0.5, 0.5)])
    assert selection.winner.finalist.name == "identity"
    assert "nothing found was better" in selection.comparison.statement


def test_a_single_seed_proves_nothing() -> None:
    finalists = [Finalist("identity", IDENTITY), Finalist("mean", MEAN)]
    comparison = select(finalists, [_results(0.5), _results(0.9)]).comparison
    assert not comparison.beyond_noise
    assert "its noise is unknown" in comparison.statement


def test_report_names_failures() -> None:
    finalists = [Finalist("identity", IDENTITY), Finalist("mean", MEAN)]
    selection = select(finalists, [[*_results(0.5), failed("NaN")], _results(0.5, 0.6)])
    assert "identity   0.2500 ± 0.2500  (1 of 2 failed)" in selection.report()
