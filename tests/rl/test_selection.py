"""The final choice: finalists, their race, the report, by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats
from small_searches import result_of

from rl.estimates import Finalist, mean_and_error
from rl.selection import ERROR, NoVerdictError, Selection, choose_finalists, race

NAN = math.nan


def _race(**rewards: Sequence[float]) -> Selection:
    """Of finalists with these names, identity first, over as many seeds as have rewards."""
    finalists = [Finalist(name, np.full(2, 0.1 * i)) for i, name in enumerate(rewards)]
    table = list(rewards.values())
    seeds = len(table[0])
    return race(finalists, seeds, lambda seed, left: [result_of(table[i][seed]) for i in left])


def test_the_comparison_is_paired() -> None:
    # Differences 0.01, 0.02, 0.03: mean 0.02, error 0.01 / sqrt(3), t = 3.46; 2 tests at 5 %: 4.30.
    selection = _race(identity=(0.1, 0.5, 0.9), mean=(0.11, 0.52, 0.93))
    assert selection.winner.name == "mean"
    assert not selection.beyond_noise
    assert selection.report().splitlines() == [
        "* mean       0.5200 ± 0.2367  3 seeds",
        "  identity   0.5000 ± 0.2309  3 seeds",
        "Race over, all 3 seeds used: mean leads, but not beyond the noise: identity.",
        "mean - identity = +0.0200 ± 0.0058 over 3 paired seeds: "
        "NOT beyond the noise (t tests, 5% for the whole race).",
    ]


def test_who_falls_behind_gets_no_further_seed() -> None:
    """Of 4 finalists and 4 seeds: 9 tests. Limits of t: 57 for two seeds, 9.4 for three.

    Behind c: identity and b by a constant; a by 0.03, 0.04, 0.03, with t = 7 and 10. The identity
    is out after two seeds and goes on.
    """
    selection = _race(
        identity=(0.10, 0.50, 0.90, NAN),
        a=(0.13, 0.52, 0.93, NAN),
        b=(0.01, 0.41, NAN, NAN),
        c=(0.16, 0.56, 0.96, NAN),
    )
    assert [len(one.results) for one in selection.finalists] == [3, 3, 2, 3]
    assert "lost" not in selection.report()
    assert selection.ending == "Race over after 3 of 4 seeds: c is ahead of all beyond the noise."
    assert selection.beyond_noise
    assert "c - identity = +0.0600 ± 0.0000 over 3 paired seeds" in selection.statement


def test_what_was_lost_is_in_no_mean_and_no_comparison() -> None:
    """A loss as reward 0 would have made the identity the winner, by 0.5 - 0.6."""
    selection = _race(identity=(0.4, 0.5, 0.6), mean=(0.5, 0.7, NAN), a=(0.5, 0.6, -1))
    assert selection.winner.name == "mean"
    assert selection.winner.mean == pytest.approx(0.6)
    assert "+0.1500 ± 0.0500 over 2 paired seeds" in selection.statement  # (0.1 + 0.2) / 2
    assert "mean       0.6000 ± 0.1000  3 seeds  (1 of 3 lost)" in selection.report()
    assert selection.finalists[2].rewards == (0.5, 0.6, 0.0)  # a failure counts with the floor
    assert "a          0.3667 ± 0.1856  3 seeds  (1 of 3 failed)" in selection.report()


def test_the_winner_gains_most_over_the_identity_under_common_seeds() -> None:
    """The third seed is easy for all: who lost it has a lower mean, and is better all the same."""
    selection = _race(identity=(0.1, 0.21, 0.9), a=(0.2, 0.3, 1.0), b=(0.3, 0.4, NAN))
    assert selection.winner.name == "b"


@pytest.mark.parametrize(
    "rewards",
    [
        {"identity": (0.5, 0.6), "mean": (0.9, NAN)},
        {"identity": (0.5, NAN), "mean": (NAN, 0.9)},
        {"identity": (NAN, NAN), "mean": (0.8, 0.9)},
        {"identity": (-1, -1), "mean": (NAN, NAN)},
        {"identity": (-1, -1), "mean": (-1, -1)},
    ],
)
def test_what_is_no_verdict(rewards: dict[str, tuple[float, ...]]) -> None:
    """Fewer than two pairs, or nobody that ever trained."""
    with pytest.raises(NoVerdictError, match=r"identity .* seeds"):
        _race(**rewards)


def test_rewards_that_tell_nothing_are_told() -> None:
    selection = _race(identity=(0.0, 0.0, NAN), mean=(0.0, -1, 0.0))
    assert selection.winner.name == "identity" and not selection.beyond_noise
    assert "All 5 rewards of the final are 0, so they do not" in selection.report()


def _noisy(rng: np.random.Generator, values: Sequence[float], seeds: int) -> Selection:
    """Rewards with an error of one seed, common to all, and one of each evaluation."""
    common = 0.05 * rng.standard_normal((1, seeds))
    rows = np.array(values)[:, None] + common + 0.01 * rng.standard_normal((len(values), seeds))
    names = ["identity", *(f"c{i}" for i in range(1, len(values)))]
    return _race(**dict(zip(names, rows.tolist(), strict=True)))


def test_a_race_rarely_errs() -> None:
    """Among equals, each claim is an error; so is a best finalist that is dropped."""
    rng = np.random.default_rng(0)
    claims = [_noisy(rng, [0.5] * 4, 6).beyond_noise for _ in range(80)]
    assert np.mean(claims) < ERROR
    winners = [_noisy(rng, [0.5, 0.5, 0.505, 0.5], 6).finalists[2] for _ in range(80)]
    assert np.mean([len(one.results) < 6 for one in winners]) < 0.3


def test_a_dropped_finalist_is_that_of_a_t_test_by_scipy() -> None:
    rng = np.random.default_rng(1)
    selection = _noisy(rng, [0.5, 0.5, 0.53, 0.52], 7)
    level = ERROR / (3 * 6)
    table = {one.name: one.rewards for one in selection.finalists}
    winner = table[selection.winner.name]
    for name, rewards in table.items():
        count = len(rewards)
        if name == "identity" or count == len(winner):
            continue
        pairs = [(winner[:n], rewards[:n]) for n in range(2, count + 1)]
        p = [stats.ttest_rel(*pair, alternative="greater").pvalue for pair in pairs]
        assert min(p[:-1], default=1.0) > level >= p[-1]


# Who enters it, and what is said of them.

IDENTITY, MEAN = np.array([0.5, 0.5]), np.array([0.4, 0.6])


def _seen(*rows: tuple[str, float, float]) -> list:
    return [(name, np.array([x, x]), reward) for name, x, reward in rows]


def test_mean_and_error_by_hand() -> None:
    # s^2 = (1 + 0 + 1) / 2 = 1, error = 1 / sqrt(3)
    assert mean_and_error([1.0, 2.0, 3.0]) == pytest.approx((2.0, 1 / math.sqrt(3)))
    assert mean_and_error([0.1] * 3) == (0.1, 0.0)
    assert mean_and_error([0.3]) == pytest.approx((0.3, NAN), nan_ok=True)


def test_finalists_are_identity_mean_and_the_best_all_distinct() -> None:
    seen = _seen(("a", 0.1, 0.2), ("b", 0.2, 0.9), ("c", 0.3, 0.5), ("d", 0.9, 0.5))
    finalists = choose_finalists(MEAN, IDENTITY, seen, top_k=2)
    assert [one.name for one in finalists] == ["identity", "mean", "b", "c"]
    seen = _seen(("same", 0.5, 0.9), ("b", 0.2, 0.8), ("b2", 0.2 + 1e-9, 0.7))
    finalists = choose_finalists(IDENTITY + 1e-12, IDENTITY, seen, top_k=3)
    assert [one.name for one in finalists] == ["identity", "b"]
