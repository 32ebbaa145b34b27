"""Registering metrics: what a row needs, what is refused; chosen classes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from autoseg_core import SearchSpace
from autoseg_core.counts import BoundaryCounts, RegionCounts
from autoseg_core.scores import (
    METRICS,
    BoundaryBand,
    Metric,
    get_metric,
    present_classes,
    register_metric,
)
from autoseg_core.scores.ratios import boundary_f1, recall


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Takes away what a test registers."""
    before = dict(METRICS)
    yield
    METRICS.clear()
    METRICS.update(before)


def counts(*target: float) -> RegionCounts:
    return RegionCounts(*[torch.tensor(target, dtype=torch.float64)] * 4)


def test_a_function_of_counts_is_enough() -> None:
    row = register_metric(Metric("Mine", recall))
    assert get_metric("Mine") is row
    assert (row.region, row.column, row.reads) == ("image", "Mine", ("intersection", "union"))
    assert SearchSpace("Mine").dim == 12
    assert row.score(counts(4, 0), torch.tensor([True, False])) == 1
    assert row.defined(counts(4, 0)).tolist() == [True, False]


def test_a_cell_of_a_notebook_may_run_again() -> None:
    power = 2
    first, again = (register_metric(Metric("Mine", lambda c: recall(c) ** power)) for _ in "ab")
    assert get_metric("Mine") is again is not first
    with pytest.raises(ValueError, match=r"METRICS\.pop\('Mine'\)"):
        register_metric(Metric("mine", lambda c: recall(c) ** 3))


def test_defaults_of_a_boundary_metric() -> None:
    row = register_metric(Metric("Mine", boundary_f1, region="boundary"))
    assert SearchSpace("Mine").dim == 8
    zero, some = torch.zeros(2), torch.tensor([0, 1])
    assert row.defined(BoundaryCounts(zero, zero, some, zero)).tolist() == [False, False]
    assert row.defined(BoundaryCounts(some, zero, zero, zero)).tolist() == [False, True]


def test_chosen_classes() -> None:
    metric = get_metric("IoU(classes=[0,2])")
    seen = counts(4, 5, 0, 1)
    assert present_classes(metric, seen, "target").tolist() == [True, False, False, False]
    assert present_classes(metric, seen, "none").tolist() == [True, False, True, False]
    with pytest.raises(ValueError, match=r"looks at class 2, but there are only .* 0\.\.1"):
        present_classes(metric, counts(4, 5), "none")


@pytest.mark.parametrize("name", ["BF1", "BoundaryIoU(radius=1)"])
def test_metrics_of_boundaries_and_bands_drop_the_background(name: str) -> None:
    kept = present_classes(get_metric(name), counts(4, 5), "target", drop_background=True)
    assert kept.tolist() == [False, True]


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
