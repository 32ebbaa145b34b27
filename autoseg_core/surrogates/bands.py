"""Soft counts on the bands of Boundary IoU: probabilities -> (T, I, U, pixels).

N: images; C: classes; H, W: pixels; d: width of the bands in pixels. The soft band of a class is
b = p - e with e the (2d+1) x (2d+1) erosion (min-pool) of its probability p. With y the exact band
of the truth, the curves of mIoU take b in place of p:
    AND(y, b) = g_and(b) y,   OR(y, b) = y + g_or(b) (1 - y).
Where p is 0 or 1 everywhere, b is the exact band of ``metrics.bands``.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from autoseg_core.counts import RegionCounts
from autoseg_core.metrics.bands import in_own_band
from autoseg_core.scores import Band
from autoseg_core.surfaces.operations import Curve
from autoseg_core.surrogates.masks import one_hot_mask


def soft_bands(probability: Tensor, mask: Tensor, radius: int) -> Tensor:
    """Each class's probability less its erosion, (N, C, H, W) in [0, 1]; 0 outside ``mask``.

    probability: (N, C, H, W) float in [0, 1]. mask: (N, H, W) bool, pixels that take part; the
    others and what lies outside the image lower no minimum. radius: d >= 1, pixels.
    """
    kept = torch.where(mask[:, None], probability, torch.ones_like(probability))
    size = 2 * radius + 1
    rows = F.max_pool2d(-kept, (1, size), stride=1, padding=(0, radius))
    eroded = -F.max_pool2d(rows, (size, 1), stride=1, padding=(radius, 0))
    return kept - torch.where(mask[:, None], eroded, torch.ones_like(eroded))


def soft_band_counts(
    probability: Tensor, target: Tensor, mask: Tensor, curves: dict[str, Curve], band: Band
) -> RegionCounts:
    """Count with curves in place of logic, on the bands of prediction and target.

    probability: (N, C, H, W) float in [0, 1]. target: (N, H, W) int64, in [0, C) wherever ``mask``
    (N, H, W) bool is true. curves: "and" and "or"; one that is missing is the identity.
    Returns counts (C,) with gradients.
    """
    radius = band.pixels(*target.shape[-2:])
    own = one_hot_mask(target, in_own_band(target, mask, radius), probability.shape[1])
    other = ~own & mask[:, None]
    bands = soft_bands(probability, mask, radius)
    nothing = torch.zeros_like(bands)
    found = curves["and"](bands) if "and" in curves else bands
    claimed = curves["or"](bands) if "or" in curves else bands
    total = own.sum(dim=(0, 2, 3)).to(bands.dtype)
    return RegionCounts(
        target=total,
        intersection=torch.where(own, found, nothing).sum(dim=(0, 2, 3)),
        union=total + torch.where(other, claimed, nothing).sum(dim=(0, 2, 3)),
        pixels=mask.sum().to(total).repeat(len(total)),
    )
