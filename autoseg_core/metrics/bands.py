"""Exact counts on the bands of Boundary IoU, from label maps.

N: images; H, W: pixels; C: classes; d: width of the bands in pixels.

The band of a class is those of its pixels that lie within d of a pixel of another class, in the
maximum norm: the class's map less its (2d+1) x (2d+1) erosion (Cheng et al. 2021, arXiv 2103.16562,
sec. 4). A pixel has one label, so all bands together are one map: a pixel is in its own class's
band if and only if its window holds two different labels. What lies outside the image is a label of
its own, as in the published code, or none (``BoundaryBand.border``).
"""

from __future__ import annotations

import torch
from torch import Tensor

from autoseg_core.counts import RegionCounts
from autoseg_core.metrics.regions import region_counts
from autoseg_core.metrics.windows import window
from autoseg_core.scores import BoundaryBand


def in_own_band(labels: Tensor, seen: Tensor, radius: int, border: bool) -> Tensor:
    """Pixels in the band of their own label, (N, H, W) bool.

    labels: (N, H, W) int64. seen: (N, H, W) bool, pixels that take part; the others neither are in
    a band nor make one. radius: d >= 1, pixels. border: whether the image border is an edge.
    """
    kind = torch.iinfo(torch.int32)
    known = labels.to(torch.int32)
    outside = kind.max if border else kind.min
    most = window(known.masked_fill(~seen, kind.min), radius, torch.maximum, outside)
    least = window(known.masked_fill(~seen, kind.max), radius, torch.minimum, kind.max)
    return (most != least) & seen


def band_counts(
    prediction: Tensor,
    target: Tensor,
    seen: Tensor,
    valid: Tensor,
    num_classes: int,
    band: BoundaryBand,
) -> RegionCounts:
    """Count target, intersection and union of the bands of every class.

    prediction, target: (N, H, W) int64 labels. seen: (N, H, W) bool, pixels that take part in
    bands. valid: (N, H, W) bool, pixels that are counted, where both are in [0, C). Returns int64
    counts (C,).
    """
    radius = band.pixels(*target.shape[-2:])
    in_target = in_own_band(target, seen, radius, band.border) & valid
    in_prediction = in_own_band(prediction, seen, radius, band.border) & valid
    return region_counts(prediction, target, in_prediction, in_target, valid, num_classes)
