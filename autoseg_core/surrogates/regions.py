"""Soft region counts: logits -> (T, I, U), the readable reference.

N: images; C: classes; H, W: pixels. With y one-hot and p the softmax, the truth table leaves one
free curve to each operation: AND(y, p) = g_and(p) y and OR(y, p) = y + g_or(p) (1 - y). Hence
    I_c = sum of g_and(p_c) over pixels of class c,
    U_c = T_c + sum of g_or(p_c) over the other pixels          (ASL, arXiv 2010.07930, sec. 3).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from autoseg_core.counts import RegionCounts

Curve = Callable[[Tensor], Tensor]


def one_hot_mask(target: Tensor, mask: Tensor, num_classes: int) -> Tensor:
    """Pixels of each class, (N, C, H, W) bool; target (N, H, W) int64, mask (N, H, W) bool."""
    classes = torch.arange(num_classes, device=target.device).view(1, -1, 1, 1)
    return (target[:, None] == classes) & mask[:, None]


def soft_region_counts(
    probability: Tensor, target: Tensor, mask: Tensor, curves: dict[str, Curve]
) -> RegionCounts:
    """Count with curves in place of logic.

    probability: (N, C, H, W) float in [0, 1]. target: (N, H, W) int64, in [0, C) wherever ``mask``
    (N, H, W) bool is true. curves: "and", "or" or both; the one that a metric does not use may be
    missing and is then the identity. Returns counts (C,) with gradients.
    """
    own = one_hot_mask(target, mask, probability.shape[1])
    other = ~own & mask[:, None]
    nothing = torch.zeros_like(probability)
    # Only one channel a pixel holds its own class: gather it, so that the AND curve is evaluated on
    # (N, H, W) values instead of (N, C, H, W).
    of_target = probability.gather(1, torch.where(mask, target, 0)[:, None])
    right = of_target if "and" not in curves else curves["and"](of_target)
    found = torch.where(own, right, nothing)
    claimed = probability if "or" not in curves else curves["or"](probability)
    total = own.sum(dim=(0, 2, 3)).to(probability.dtype)
    return RegionCounts(
        target=total,
        intersection=found.sum(dim=(0, 2, 3)),
        union=total + torch.where(other, claimed, nothing).sum(dim=(0, 2, 3)),
        pixels=mask.sum().to(total).repeat(len(total)),
    )
