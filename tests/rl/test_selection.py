"""The final choice, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rl.proxy import ProxyResult, failed, lost
from rl.selection import (
    Finalist,
    NoVerdictError,
    Selection,
    choose_finalists,
    compare,
    estimate,
    mean_and_error,
    select,
)

IDENTITY, MEAN = np.array([0.5, 0.5]), np.array([0.4, 0.6])


def _results(*rewards: float) -> list[ProxyResult]:
    """NaN: lost."""
    return [lost("no memory") if math.isnan(r) else ProxyResult(r) for r in rewards]


def _select(**rewards: tuple[float, ...]) -> Selection:
    finalists = [Finalist(name, np.full(2, 0.1 * i)) for i, name in enumerate(rewards)]
    return select(finalists, [_results(*some) for some in rewards.values()])


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


def test_finalists_are_distinct_and_each_has_a_reward() -> None:
    seen = [
        *_seen(("same", 0.5, 0.9), ("b", 0.2, 0.8), ("b2", 0.2 + 1e-9, 0.7)),
        ("bad", np.array([0.7, 0.7]), failed("NaN")),
        ("gone", np.array([0.8, 0.8]), lost("no memory")),
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


NAN = math.nan


def test_what_was_lost_is_in_no_mean_and_no_comparison() -> None:
    """A loss as reward 0 would have made the identity the winner, by 0.5 - 0.6."""
    selection = _select(identity=(0.4, 0.5, 0.6), mean=(0.5, 0.7, NAN))
    assert selection.winner.finalist.name == "mean"
    assert selection.winner.mean == pytest.approx(0.6)
    assert selection.comparison.difference == pytest.approx(0.15)  # (0.1 + 0.2) / 2
    assert "over 2 paired seeds" in selection.comparison.statement
    assert "mean       0.6000 ± 0.1000  (1 of 3 lost)" in selection.report()


def test_the_winner_gains_most_over_the_identity_under_common_seeds() -> None:
    """The third seed is easy for all: who lost it has a lower mean, and is better all the same."""
    selection = _select(identity=(0.1, 0.2, 0.9), a=(0.2, 0.3, 1.0), b=(0.3, 0.4, NAN))
    assert selection.winner.finalist.name == "b"


@pytest.mark.parametrize(
    "rewards",
    [
        {"identity": (0.5, 0.6), "mean": (0.9, NAN)},
        {"identity": (0.5, NAN), "mean": (NAN, 0.9)},
        {"identity": (NAN, NAN), "mean": (0.8, 0.9)},
        {"identity": (0.5,), "mean": (0.9,)},
    ],
)
def test_fewer_than_two_pairs_are_no_verdict(rewards: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(NoVerdictError, match="No verdict: fewer than two fresh seeds"):
        _select(**rewards)


def test_the_identity_alone_is_no_verdict() -> None:
    with pytest.raises(NoVerdictError, match="nothing to compare with the identity"):
        _select(identity=(0.5, 0.6))


def test_finalists_that_never_trained_are_no_verdict() -> None:
    finalists = [Finalist("identity", IDENTITY), Finalist("mean", MEAN)]
    with pytest.raises(NoVerdictError, match="failed or was lost") as caught:
        select(finalists, [[failed("NaN")] * 2, [lost("no memory")] * 2])
    assert "identity   0.0000 ± 0.0000  (2 of 2 failed)\n  mean       -  (2 of 2 lost)" in str(
        caught.value
    )


def test_report_names_failures() -> None:
    finalists = [Finalist("identity", IDENTITY), Finalist("mean", MEAN)]
    selection = select(finalists, [[*_results(0.5), failed("NaN")], _results(0.5, 0.6)])
    assert "identity   0.2500 ± 0.2500  (1 of 2 failed)" in selection.report()
