"""Soft region counts: probabilities -> (T, I, U, pixels), the readable reference.

N: images; C: classes; "...": pixels, of two or three sides. With y one-hot and p the softmax, the
truth table leaves each operation one free curve: AND(y, p) = g_and(p) y and
OR(y, p) = y + g_or(p) (1 - y). Hence
    I_c = sum of g_and(p_c) over pixels of class c,
    U_c = T_c + sum of g_or(p_c) over the other pixels          (ASL, arXiv 2010.07930, sec. 3).
"""

from __future__ import annotations

import torch
from torch import Tensor

from autoseg_core.counts import RegionCounts
from autoseg_core.surfaces.operations import Curves


def one_hot_mask(target: Tensor, mask: Tensor, num_classes: int) -> Tensor:
    """Pixels of each class, (N, C, ...) bool; target (N, ...) integer, mask (N, ...) bool."""
    classes = torch.arange(num_classes, device=target.device)
    classes = classes.view(1, -1, *[1] * (target.ndim - 1))
    return (target[:, None] == classes) & mask[:, None]


def soft_region_counts(
    probability: Tensor, own: Tensor, counted: Tensor, curves: Curves
) -> RegionCounts:
    """Count with curves in place of logic; (C,) counts of the batch, with gradients.

    probability: (N, C, ...) float in [0, 1]. own: bool of that shape, pixels of each class that
    count. counted: (N, C, ...) or (N, 1, ...) bool, all pixels that count. curves: "and" and "or";
    a missing one is the identity.
    """
    p, counted = probability, counted.expand_as(probability)
    found = curves["and"](p) if "and" in curves else p
    claimed = curves["or"](p) if "or" in curves else p
    nothing = torch.zeros_like(p)
    sides = [side for side in range(p.ndim) if side != 1]
    total = own.sum(sides).to(p.dtype)
    return RegionCounts(
        target=total,
        intersection=torch.where(own, found, nothing).sum(sides),
        union=total + torch.where(counted & ~own, claimed, nothing).sum(sides),
        pixels=counted.sum(sides).to(p.dtype),
    )
