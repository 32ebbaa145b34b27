"""Exact region counts from label maps.

N: images; H, W: pixels; C: classes. Labels are integers in [0, C); other pixels are masked out.
"""

from __future__ import annotations

import torch
from torch import Tensor

from autoseg_core.counts import RegionCounts


def region_counts(
    prediction: Tensor, target: Tensor, mask: Tensor, num_classes: int
) -> RegionCounts:
    """Count target, intersection and union pixels of every class, and all that were looked at.

    prediction, target: (N, H, W) int64, in [0, C) wherever ``mask`` (N, H, W) bool is true; what
    stands elsewhere changes nothing. Returns int64 counts (C,).
    """
    truth, guess = target[mask], prediction[mask]
    in_target = torch.bincount(truth, minlength=num_classes)
    in_prediction = torch.bincount(guess, minlength=num_classes)
    both = torch.bincount(truth[truth == guess], minlength=num_classes)
    looked_at = in_target.sum().repeat(num_classes)
    return RegionCounts(in_target, both, in_target + in_prediction - both, looked_at)
