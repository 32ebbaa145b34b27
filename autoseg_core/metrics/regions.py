"""Exact region counts from label maps. N: images; H, W: pixels; C: classes."""

from __future__ import annotations

import torch
from torch import Tensor

from autoseg_core.counts import RegionCounts


def region_counts(
    prediction: Tensor,
    target: Tensor,
    in_prediction: Tensor,
    in_target: Tensor,
    pixels: Tensor,
    num_classes: int,
) -> RegionCounts:
    """Count target, intersection and union of every class, and all pixels: (C,) int64.

    prediction, target: (N, H, W) int64 labels. in_prediction, in_target: bool of that shape, where
    they count; there they are in [0, C). pixels: bool of that shape, all that are looked at.
    """

    def count(labels: Tensor, mask: Tensor) -> Tensor:
        return torch.bincount(labels[mask], minlength=num_classes)

    truth = count(target, in_target)
    both = count(target, in_target & in_prediction & (target == prediction))
    union = truth + count(prediction, in_prediction) - both
    return RegionCounts(truth, both, union, pixels.sum().repeat(num_classes))
