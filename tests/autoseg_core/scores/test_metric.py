"""Registering metrics: what a row needs and what is refused; the width of bands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autoseg_core.scores import (
    METRICS,
    BoundaryBand,
    Metric,
    get_metric,
    register_metric,
)
from autoseg_core.scores.ratios import recall


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Takes away what a test registers."""
    before = dict(METRICS)
    yield
    METRICS.clear()
    METRICS.update(before)


def test_a_cell_of_a_notebook_may_run_again() -> None:
    power = 2
    first, again = (register_metric(Metric("Mine", lambda c: recall(c) ** power)) for _ in "ab")
    assert get_metric("Mine") is again is not first
    with pytest.raises(ValueError, match=r"METRICS\.pop\('Mine'\)"):
        register_metric(Metric("mine", lambda c: recall(c) ** 3))


@pytest.mark.parametrize(
    ("band", "size", "pixels"),
    [
        (BoundaryBand(radius=3), (100, 100), 3),
        (BoundaryBand(radius=300), (10, 20), 20),
        (BoundaryBand(diagonal=0.02), (300, 400), 10),
        (BoundaryBand(diagonal=0.02), (3, 4), 1),
        (BoundaryBand(diagonal=0.5), (3, 4), 2),
    ],
)
def test_width_of_a_band(band: BoundaryBand, size: tuple[int, int], pixels: int) -> None:
    assert band.pixels(*size) == pixels
