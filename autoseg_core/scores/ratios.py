"""Ratios of counts: the arithmetic of every metric, one function each.

C: classes. The same function scores exact counts (evaluation) and soft counts (training), so a
metric and its surrogate cannot drift apart. Two kinds:
- per class, ``counts -> (C,)`` in [0, 1], where 0/0 is 0 unless stated otherwise;
- over classes, ``counts, present -> scalar`` in [0, 1]; ``present`` (C,) bool says which classes
  take part (``metric.present_classes``), and without any the score is 0.
With T target, I intersection, U union and N pixels of a class: false positives are U - T, false
negatives T - I, true negatives N - U.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from autoseg_core.counts import BoundaryCounts, Counts, RegionCounts
from autoseg_core.numerics import safe_divide

PerClass = Callable[[Any], Tensor]


def iou(counts: RegionCounts) -> Tensor:
    """Intersection over union per class, I / U."""
    return safe_divide(counts.intersection, counts.union)


def recall(counts: RegionCounts) -> Tensor:
    """Share of a class's pixels that were found ("accuracy" per class), I / T."""
    return safe_divide(counts.intersection, counts.target)


def precision(counts: RegionCounts) -> Tensor:
    """Share of the pixels predicted as a class that are correct, I / (I + U - T)."""
    return safe_divide(counts.intersection, _predicted(counts))


def specificity(counts: RegionCounts) -> Tensor:
    """Share of the other classes' pixels not predicted as a class, (N - U) / (N - T).

    1 for a class that fills the image, since no false positive is possible.
    """
    others = counts.pixels - counts.target
    return 1 - safe_divide(counts.union - counts.target, others)


def dice(counts: RegionCounts) -> Tensor:
    """Dice coefficient per class, which is the F1 score of its pixels: 2 I / (I + U)."""
    return safe_divide(2 * counts.intersection, counts.intersection + counts.union)


def f_beta(counts: RegionCounts, beta: float) -> Tensor:
    """F-beta per class: recall counts beta times as much as precision; ``dice`` at beta = 1."""
    return tversky(counts, alpha=1 / (1 + beta**2), beta=beta**2 / (1 + beta**2))


def tversky(counts: RegionCounts, alpha: float, beta: float) -> Tensor:
    """Tversky index per class, I / (I + alpha FP + beta FN) (Salehi et al. 2017, eq. 3).

    ``dice`` at alpha = beta = 1/2, ``iou`` at alpha = beta = 1, ``recall`` at (0, 1).
    """
    wrong = alpha * (counts.union - counts.target) + beta * (counts.target - counts.intersection)
    return safe_divide(counts.intersection, counts.intersection + wrong)


def boundary_f1(counts: BoundaryCounts) -> Tensor:
    """Harmonic mean of boundary precision and recall per class (Csurka et al. 2013).

    A class that is not found at all scores 0. The recall of one without a target boundary is 0/0:
    ``target_seen`` leaves it out.
    """
    # Soft edges of a searched curve may be negative: their sums are no counts, and the ratios leave
    # [0, 1].
    right = safe_divide(counts.matched_prediction, counts.prediction).clamp(0, 1)
    found = safe_divide(counts.matched_target, counts.target).clamp(0, 1)
    return safe_divide(2 * right * found, right + found)


def mean_of(per_class: PerClass, counts: Counts, present: Tensor) -> Tensor:
    """Mean of ``per_class(counts)`` over the present classes."""
    kept = per_class(counts).masked_fill(~present, 0.0)
    return kept.sum() / present.sum().clamp(min=1)


def weighted_mean_of(
    per_class: PerClass, weights: Sequence[float], counts: Counts, present: Tensor
) -> Tensor:
    """Mean of ``per_class(counts)`` over the present classes, each with its weight >= 0."""
    values = per_class(counts)
    if len(weights) != len(values):
        raise ValueError(
            f"Expected one weight for each of {len(values)} classes, got {len(weights)}: "
            f"{list(weights)}."
        )
    # Filled on the device: a CUDA graph cannot capture a copy from the host.
    given = torch.cat([values.new_full((1,), weight) for weight in weights])
    kept = torch.where(present, given, torch.zeros_like(given))
    weighted = torch.where(present, given * values, torch.zeros_like(values))
    return safe_divide(weighted.sum(), kept.sum())


def class_minimum(values: Tensor, present: Tensor) -> Tensor:
    """The minimum of ``values`` (C,) over the present classes; ties share the gradient."""
    least = torch.where(present, values, torch.ones_like(values)).amin()
    return torch.where(present.any(), least, torch.zeros_like(least))


def frequency_weighted_iou(counts: RegionCounts, present: Tensor) -> Tensor:
    """FWIoU: IoU weighted by each class's share of the target pixels."""
    return safe_divide((counts.target * iou(counts)).sum(), counts.target.sum())


def global_accuracy(counts: RegionCounts, present: Tensor) -> Tensor:
    """gAcc: share of all pixels that are correct."""
    return safe_divide(counts.intersection.sum(), counts.target.sum())


def worst_iou(counts: RegionCounts, present: Tensor) -> Tensor:
    """The lowest IoU of a class."""
    return class_minimum(iou(counts), present)


def union_seen(counts: RegionCounts) -> Tensor:
    """Classes in target or prediction, whose IoU is not 0/0; (C,) bool."""
    return counts.union > 0


def target_seen(counts: Counts) -> Tensor:
    """Classes in the target, whose recall is not 0/0; (C,) bool."""
    return counts.target > 0


def others_seen(counts: RegionCounts) -> Tensor:
    """Classes that do not fill the image, whose specificity is not 0/0; (C,) bool."""
    return counts.pixels > counts.target


def prediction_seen(counts: RegionCounts) -> Tensor:
    """Classes in the prediction, whose precision is not 0/0; (C,) bool."""
    return _predicted(counts) > 0


def _predicted(counts: RegionCounts) -> Tensor:
    # False positives first: soft sums then round to no less than the intersection.
    return counts.intersection + (counts.union - counts.target)
