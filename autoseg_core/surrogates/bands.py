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
from autoseg_core.scores import BoundaryBand
from autoseg_core.surfaces.operations import Curve
from autoseg_core.surrogates.regions import one_hot_mask


def soft_bands(probability: Tensor, seen: Tensor, radius: int, border: bool) -> Tensor:
    """Each class's probability less its erosion, (N, C, H, W) in [0, 1]; 0 outside ``seen``.

    probability: (N, C, H, W) float in [0, 1]. seen: (N, H, W) bool, pixels that take part; the
    others lower no minimum. radius: d >= 1, pixels. border: outside the image every probability is
    0, so that the image border is an edge; else what lies there lowers no minimum.
    """
    kept = torch.where(seen[:, None], probability, torch.ones_like(probability))
    size = 2 * radius + 1
    framed = F.pad(kept, [radius] * 4, value=0.0 if border else 1.0)
    rows = F.max_pool2d(-framed, (1, size), stride=1)
    eroded = -F.max_pool2d(rows, (size, 1), stride=1)
    return kept - torch.where(seen[:, None], eroded, torch.ones_like(eroded))


def soft_band_counts(
    probability: Tensor,
    target: Tensor,
    seen: Tensor,
    valid: Tensor,
    curves: dict[str, Curve],
    band: BoundaryBand,
) -> RegionCounts:
    """Count with curves in place of logic, on the bands of prediction and target.

    probability: (N, C, H, W) float in [0, 1]. target, seen, valid: as ``metrics.bands.band_counts``
    takes them. curves: "and" and "or"; one that is missing is the identity. Returns counts (C,)
    with gradients.
    """
    radius = band.pixels(*target.shape[-2:])
    in_target = in_own_band(target, seen, radius, band.border) & valid
    own = one_hot_mask(target, in_target, probability.shape[1])
    other = ~own & valid[:, None]
    bands = soft_bands(probability, seen, radius, band.border)
    nothing = torch.zeros_like(bands)
    found = curves["and"](bands) if "and" in curves else bands
    claimed = curves["or"](bands) if "or" in curves else bands
    total = own.sum(dim=(0, 2, 3)).to(bands.dtype)
    return RegionCounts(
        target=total,
        intersection=torch.where(own, found, nothing).sum(dim=(0, 2, 3)),
        union=total + torch.where(other, claimed, nothing).sum(dim=(0, 2, 3)),
        pixels=valid.sum().to(total).repeat(len(total)),
    )
