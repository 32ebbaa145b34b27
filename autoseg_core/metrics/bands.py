"""Exact counts on the bands of Boundary IoU, from label maps.

N: images; H, W: pixels; C: classes; d: width of the bands in pixels.

The band of a class is those of its pixels that lie within d of a pixel of another class, in the
maximum norm: the class's map less its (2d+1) x (2d+1) erosion (Cheng et al. 2021, arXiv 2103.16562,
sec. 4). A pixel has one label, so all bands together are one map: a pixel is in its own class's
band if and only if its window holds two different labels. What lies outside the image is a label of
its own, as in the published code, or none (``Band.border``).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from autoseg_core.counts import RegionCounts
from autoseg_core.scores import Band


def in_own_band(labels: Tensor, seen: Tensor, radius: int, border: bool) -> Tensor:
    """Pixels in the band of their own label, (N, H, W) bool.

    labels: (N, H, W) int64. seen: (N, H, W) bool, pixels that take part; the others neither are in
    a band nor make one. radius: d >= 1, pixels. border: whether the image border is an edge.
    """
    kind = torch.iinfo(torch.int32)
    known = labels.to(torch.int32)
    outside = kind.max if border else kind.min
    most = _window(known.masked_fill(~seen, kind.min), radius, torch.maximum, outside)
    least = _window(known.masked_fill(~seen, kind.max), radius, torch.minimum, kind.max)
    return (most != least) & seen


def band_counts(
    prediction: Tensor, target: Tensor, seen: Tensor, valid: Tensor, num_classes: int, band: Band
) -> RegionCounts:
    """Count target, intersection and union of the bands of every class.

    prediction, target: (N, H, W) int64 labels. seen: (N, H, W) bool, pixels that take part in
    bands. valid: (N, H, W) bool, pixels that are counted, where both are in [0, C). Returns int64
    counts (C,).
    """
    radius = band.pixels(*target.shape[-2:])
    in_target = in_own_band(target, seen, radius, band.border) & valid
    in_prediction = in_own_band(prediction, seen, radius, band.border) & valid
    in_both = in_target & in_prediction & (target == prediction)

    def count(labels: Tensor, mask: Tensor) -> Tensor:
        return torch.bincount(labels[mask], minlength=num_classes)

    truth, both = count(target, in_target), count(target, in_both)
    union = truth + count(prediction, in_prediction) - both
    return RegionCounts(truth, both, union, valid.sum().repeat(num_classes))


def _window(
    values: Tensor, radius: int, join: Callable[[Tensor, Tensor], Tensor], outside: int
) -> Tensor:
    """``join`` over the (2d+1) x (2d+1) window of (N, H, W), with ``outside`` around the image."""
    rows = _window_axis(values, radius, -1, join, outside)
    return _window_axis(rows, radius, -2, join, outside)


def _window_axis(
    values: Tensor,
    radius: int,
    axis: int,
    join: Callable[[Tensor, Tensor], Tensor],
    outside: int,
) -> Tensor:
    """Pad by d, then double the window until it is 2d + 1 wide."""
    size, window = values.shape[axis], 2 * radius + 1
    pad = [0, 0, radius, radius] if axis == -2 else [radius, radius]
    out, have = F.pad(values, pad, value=outside), 1
    while have < window:
        step = min(have, window - have)
        rest = out.shape[axis] - step
        out = join(out.narrow(axis, 0, rest), out.narrow(axis, step, rest))
        have += step
    return out.narrow(axis, 0, size)
