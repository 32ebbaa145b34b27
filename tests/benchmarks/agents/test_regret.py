"""What a search offers after each evaluation, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.agents.regret import Run, incumbent_values, offered_values


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
