"""Scores of hand-made counts; which classes are averaged."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from autoseg_core.counts import BoundaryCounts, Counts, RegionCounts
from autoseg_core.scores import PAPER_METRICS, get_metric, present_classes


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


# Class 0: 6 of 8 pixels found, union 10. Class 1: 1 of 2, union 4. Class 2: no target, union 1.
# Class 3: in neither. Of 20 pixels.
REGIONS = RegionCounts(
    double(8, 2, 0, 0), double(6, 1, 0, 0), double(10, 4, 1, 0), double(20, 20, 20, 20)
)
# Class 0: precision 3/4, recall 1/2. Class 1: no match. Class 2: predicted only. Class 3: neither.
BOUNDARIES = BoundaryCounts(
    target=double(4, 5, 0, 0),
    matched_target=double(2, 0, 0, 0),
    prediction=double(8, 5, 3, 0),
    matched_prediction=double(6, 0, 0, 0),
)
F1 = 2 * 0.75 * 0.5 / (0.75 + 0.5)


F2 = (5 * 6 / (5 * 6 + 4 * 2 + 2), 5 / (5 + 4 * 1 + 2))
TVERSKY = (6 / (6 + 0.3 * 2 + 0.7 * 2), 1 / (1 + 0.3 * 2 + 0.7 * 1))


def counts_of(name: str) -> Counts:
    return BOUNDARIES if get_metric(name).region == "boundary" else REGIONS


def score(name: str, rule: str, drop_background: bool = False) -> float:
    metric, counts = get_metric(name), counts_of(name)
    present = present_classes(metric, counts, rule, drop_background)  # type: ignore[arg-type]
    return float(metric.score(counts, present))


@pytest.mark.parametrize(
    ("name", "target", "defined", "none"),
    [
        ("mIoU", (0.6 + 0.25) / 2, (0.6 + 0.25) / 3, (0.6 + 0.25) / 4),
        ("BIoU", (0.6 + 0.25) / 2, (0.6 + 0.25) / 3, (0.6 + 0.25) / 4),
        ("mAcc", (0.75 + 0.5) / 2, (0.75 + 0.5) / 2, (0.75 + 0.5) / 4),
        ("FWIoU", 0.8 * 0.6 + 0.2 * 0.25, 0.8 * 0.6 + 0.2 * 0.25, 0.8 * 0.6 + 0.2 * 0.25),
        ("gAcc", 0.7, 0.7, 0.7),
        ("BF1", F1 / 2, F1 / 2, F1 / 4),
        ("Dice", (0.75 + 0.4) / 2, (0.75 + 0.4) / 3, (0.75 + 0.4) / 4),
        ("Fbeta(beta=1)", (0.75 + 0.4) / 2, (0.75 + 0.4) / 3, (0.75 + 0.4) / 4),
        ("Fbeta(beta=2)", sum(F2) / 2, sum(F2) / 3, sum(F2) / 4),
        ("Tversky(alpha=0.3,beta=0.7)", sum(TVERSKY) / 2, sum(TVERSKY) / 3, sum(TVERSKY) / 4),
        ("mPrecision", (6 / 8 + 1 / 3) / 2, (6 / 8 + 1 / 3) / 3, (6 / 8 + 1 / 3) / 4),
        (
            "mSpecificity",
            (10 / 12 + 16 / 18) / 2,
            (10 / 12 + 16 / 18 + 19 / 20 + 1) / 4,
            (10 / 12 + 16 / 18 + 19 / 20 + 1) / 4,
        ),
        ("worstIoU", 0.25, 0, 0),
        ("IoU(classes=[1])", 0.25, 0.25, 0.25),
        ("IoU(classes=[0,2])", 0.6, 0.3, 0.3),
        ("wIoU(weights=[1,3,2,0])", 1.35 / 4, 1.35 / 6, 1.35 / 6),
        ("BoundaryIoU(radius=1)", 0.85 / 2, 0.85 / 3, 0.85 / 4),
    ],
)
def test_scores_by_hand(name: str, target: float, defined: float, none: float) -> None:
    assert score(name, "target") == pytest.approx(target, rel=1e-14)
    assert score(name, "defined") == pytest.approx(defined, rel=1e-14)
    assert score(name, "none") == pytest.approx(none, rel=1e-14)


@pytest.mark.parametrize("name", PAPER_METRICS)
def test_without_any_pixel_the_score_is_zero_with_finite_gradients(name: str) -> None:
    metric = get_metric(name)
    fields = len(counts_of(name).tensors())
    empty = [torch.zeros(3, dtype=torch.float64, requires_grad=True) for _ in range(fields)]
    counts = type(counts_of(name))(*empty)
    value = metric.score(counts, present_classes(metric, counts, "none"))
    value.backward()
    assert value.item() == 0
    assert all(t.grad is None or bool(t.grad.isfinite().all()) for t in empty)


@pytest.mark.parametrize("name", PAPER_METRICS)
def test_a_nan_count_is_not_hidden(name: str) -> None:
    counts = counts_of(name)
    spoiled = type(counts)(*(torch.where(t > 0, math.nan, t) for t in counts.tensors()))
    metric = get_metric(name)
    assert metric.score(spoiled, torch.ones(4, dtype=torch.bool)).isnan()
