"""The catalog of metrics: each one is a function of counts, written once.

C: classes. The same function scores exact counts (evaluation) and soft counts (training), so a
metric and its surrogate cannot drift apart. To add a metric, write one function
``counts, present -> scalar`` and one row of ``METRICS``.

``present`` (C,) bool says which classes enter an average over classes; ``present_classes`` holds
the three rules for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from autoseg_core.counts import BoundaryCounts, Counts, RegionCounts
from autoseg_core.numerics import safe_divide

AbsentRule = Literal["target", "defined", "none"]
Region = Literal["image", "trimap", "boundary"]


def iou(counts: RegionCounts) -> Tensor:
    """Intersection over union per class, (C,) in [0, 1]; 0 where the union is empty."""
    return safe_divide(counts.intersection, counts.union)


def recall(counts: RegionCounts) -> Tensor:
    """Share of a class's pixels that were found ("accuracy" per class), (C,) in [0, 1]."""
    return safe_divide(counts.intersection, counts.target)


def boundary_f1(counts: BoundaryCounts) -> Tensor:
    """Harmonic mean of boundary precision and recall per class (Csurka et al. 2013), (C,)."""
    precision = safe_divide(counts.matched_prediction, counts.prediction)
    found = safe_divide(counts.matched_target, counts.target)
    return safe_divide(2 * precision * found, precision + found)


def class_mean(values: Tensor, present: Tensor) -> Tensor:
    """Mean of ``values`` (C,) over the present classes; 0 when there is none."""
    kept = torch.where(present, values, torch.zeros_like(values))
    return safe_divide(kept.sum(), present.sum().to(values.dtype))


def mean_iou(counts: RegionCounts, present: Tensor) -> Tensor:
    """mIoU and, on trimap counts, BIoU."""
    return class_mean(iou(counts), present)


def frequency_weighted_iou(counts: RegionCounts, present: Tensor) -> Tensor:
    """FWIoU: IoU weighted by each class's share of the target pixels."""
    return safe_divide((counts.target * iou(counts)).sum(), counts.target.sum())


def mean_accuracy(counts: RegionCounts, present: Tensor) -> Tensor:
    """mAcc: mean recall."""
    return class_mean(recall(counts), present)


def global_accuracy(counts: RegionCounts, present: Tensor) -> Tensor:
    """gAcc: share of all pixels that are right."""
    return safe_divide(counts.intersection.sum(), counts.target.sum())


def mean_boundary_f1(counts: BoundaryCounts, present: Tensor) -> Tensor:
    """BF1: mean over classes of ``boundary_f1``, from counts summed over the whole data set.

    Of soft counts with the released four free curves: edges may be negative, and a class whose
    predicted edges do not sum to more than 0 scores 0 without a gradient.
    """
    return class_mean(boundary_f1(counts), present)


def union_seen(counts: RegionCounts) -> Tensor:
    """Classes whose IoU is not 0/0, (C,) bool."""
    return counts.union > 0


def target_seen(counts: RegionCounts) -> Tensor:
    """Classes whose recall is not 0/0, (C,) bool."""
    return counts.target > 0


def boundary_seen(counts: BoundaryCounts) -> Tensor:
    """Classes with a boundary in the target or in the prediction, (C,) bool."""
    return (counts.target > 0) | (counts.prediction > 0)


@dataclass(frozen=True)
class Metric:
    """One row of the catalog.

    ``region``: where the metric looks: "image" (all valid pixels), "trimap" (valid pixels near a
    target boundary) or "boundary" (the boundary pixels themselves).
    ``per_class``: counts -> (C,); ``column`` is its name in per-class tables.
    ``defined``: counts -> (C,) bool, classes whose ratio is not 0/0.
    ``score``: counts, present -> scalar in [0, 1].
    ``curves``: names of the free curves of its surrogate, in the order of the parameter vector.
    ``pieces``: default number of pieces by surface.
    """

    name: str
    region: Region
    column: str
    per_class: Callable[[Any], Tensor]
    defined: Callable[[Any], Tensor]
    score: Callable[[Any, Tensor], Tensor]
    curves: tuple[str, ...]
    pieces: dict[str, int]


AND_OR = ("and", "or")
XOR = ("and_probability", "and_eroded", "or_probability", "or_eroded")
REGION_PIECES = {"bezier": 2, "linear": 4}  # three free points a curve either way
XOR_PIECES = {"bezier": 1, "linear": 2}  # one free point a curve

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("mIoU", "image", "IoU", iou, union_seen, mean_iou, AND_OR, REGION_PIECES),
        Metric(
            "FWIoU", "image", "IoU", iou, union_seen, frequency_weighted_iou, AND_OR, REGION_PIECES
        ),
        Metric("mAcc", "image", "Acc", recall, target_seen, mean_accuracy, ("and",), REGION_PIECES),
        Metric(
            "gAcc", "image", "Acc", recall, target_seen, global_accuracy, ("and",), REGION_PIECES
        ),
        Metric("BIoU", "trimap", "BIoU", iou, union_seen, mean_iou, AND_OR, REGION_PIECES),
        Metric(
            "BF1", "boundary", "BF1", boundary_f1, boundary_seen, mean_boundary_f1, XOR, XOR_PIECES
        ),
    )
}


def get_metric(name: str) -> Metric:
    """Return the catalog row, or raise ``ValueError`` that lists the known metrics."""
    if name not in METRICS:
        raise ValueError(f"Unknown metric {name!r}; known metrics: {', '.join(METRICS)}.")
    return METRICS[name]


def present_classes(
    metric: Metric, counts: Counts, rule: AbsentRule, drop_background: bool = False
) -> Tensor:
    """Which classes the average runs over, (C,) bool.

    rule: "target" leaves out classes without a target pixel (strict evaluation and losses with
    ``absent="ignore"``: the rule does not jump when a soft prediction reaches zero); "defined" only
    those in neither target nor prediction (released evaluator, mmsegmentation); "none" leaves
    nothing out, so an absent class scores 0 (the released losses).
    drop_background: boundary metrics leave class 0 out as well, as released on VOC.
    """
    if rule == "target":
        present = counts.target > 0
    elif rule == "defined":
        present = metric.defined(counts)
    else:
        present = torch.ones_like(counts.target, dtype=torch.bool)
    if drop_background and metric.region == "boundary":
        present = torch.cat([torch.zeros_like(present[:1]), present[1:]])
    return present
