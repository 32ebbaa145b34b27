"""Regret and evaluations to a target, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.agents.regret import (
    Reach,
    Run,
    checkpoints,
    incumbent_values,
    measure_reach,
    offered_values,
)


def _run(
    values: list[float], seen: list[float] | None = None, means: tuple[float, ...] = (0.0,)
) -> Run:
    return Run(np.array(values), np.array(values if seen is None else seen), np.array(means))


@pytest.mark.parametrize(
    ("values", "seen", "expected"),
    [
        ([0.2, 0.1, 0.5, 0.4], None, [0.2, 0.2, 0.5, 0.5]),
        # The second looks best by luck and is worth less: chosen all the same.
        ([0.2, 0.1, 0.5], [0.2, 0.6, 0.5], [0.2, 0.1, 0.1]),
        # Of equal looks the first counts.
        ([0.2, 0.9], [0.3, 0.3], [0.2, 0.2]),
    ],
)
def test_incumbent(values: list[float], seen: list[float] | None, expected: list[float]) -> None:
    np.testing.assert_array_equal(incumbent_values(_run(values, seen)), expected)


def test_the_mean_is_offered_from_the_end_of_its_round_to_that_of_the_next() -> None:
    run = _run([0.1, 0.2, 0.3, 0.3, 0.6, 0.3], means=(0.5, 0.1, 0.7))
    np.testing.assert_array_equal(offered_values(run), [0.1, 0.5, 0.5, 0.3, 0.6, 0.7])


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (0.2, Reach(1.5, 2, 2.0)),
        (0.5, Reach(5.0, 1, 0.6)),  # 2, and 3 for nothing
        (0.9, Reach(math.inf, 0, 0.0)),
    ],
)
def test_reach(target: float, expected: Reach) -> None:
    offered = [np.array([0.1, 0.5, 0.6]), np.array([0.2, 0.3, 0.3])]
    assert measure_reach(offered, target) == expected


@pytest.mark.parametrize(
    ("budget", "rounds", "expected"),
    [
        (384, 12, [96, 192, 288]),
        (30, 3, [10, 20]),  # 0.75, 1.5 and 2.25
        (10, 1, []),
    ],
)
def test_checkpoints_are_whole_rounds_on_the_way(
    budget: int, rounds: int, expected: list[int]
) -> None:
    assert checkpoints(budget, rounds) == expected
