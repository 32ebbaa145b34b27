"""Soft region counts: logits and labels -> (T, I, U, pixels), the readable reference.

N: images; C: classes; "...": pixels, of two or three sides. With y one-hot and p the softmax, the
truth table leaves one free curve to each operation: AND(y, p) = g_and(p) y and
OR(y, p) = y + g_or(p) (1 - y). Hence
    I_c = sum of g_and(p_c) over pixels of class c,
    U_c = T_c + sum of g_or(p_c) over the other pixels          (ASL, arXiv 2010.07930, sec. 3).
"""

from __future__ import annotations

import torch
from torch import Tensor

from autoseg_core.counts import RegionCounts
from autoseg_core.surfaces.operations import Curves
from autoseg_core.surrogates.batch import Activation


def one_hot_mask(target: Tensor, mask: Tensor, num_classes: int) -> Tensor:
    """Pixels of each class, (N, C, ...) bool; target (N, ...) integer, mask (N, ...) bool."""
    classes = torch.arange(num_classes, device=target.device)
    classes = classes.view(1, -1, *[1] * (target.ndim - 1))
    return (target[:, None] == classes) & mask[:, None]


def soft_region_counts(
    logits: Tensor, target: Tensor, valid: Tensor, curves: Curves, activation: Activation
) -> RegionCounts:
    """Count with curves in place of logic; (C,) counts of the batch, with gradients.

    logits: (N, C, ...) float32 or float64; what they hold outside ``valid`` changes nothing.
    target: integers (N, ...), or (N, C, ...) of 0 and 1 under "sigmoid". valid: bool of the
    target's shape, pixels that count. curves: "and" and "or"; one that is missing is the identity.
    """
    if activation == "softmax":
        own = one_hot_mask(target, valid, logits.shape[1])
        counted = valid[:, None].expand_as(logits)
    else:
        own, counted = valid & (target == 1), valid
    # A choice before the softmax: even a NaN at void must reach neither sums nor gradients.
    known = torch.where(counted, logits, torch.zeros_like(logits))
    p = known.softmax(1) if activation == "softmax" else known.sigmoid()
    found = curves["and"](p) if "and" in curves else p
    claimed = curves["or"](p) if "or" in curves else p
    nothing = torch.zeros_like(p)
    sides = [side for side in range(logits.ndim) if side != 1]
    total = own.sum(sides).to(p.dtype)
    return RegionCounts(
        target=total,
        intersection=torch.where(own, found, nothing).sum(sides),
        union=total + torch.where(counted & ~own, claimed, nothing).sum(sides),
        pixels=counted.sum(sides).to(p.dtype),
    )
