"""Edges and bands of label maps, and pixels near them: without one-hot maps, on any device.

N: images; H, W: pixels; C: classes; M = ceil(C / 62) words of class bits.

The band of a class, d pixels wide, consists of its pixels within d of a pixel of another class, in
the maximum norm: the class's map minus its (2d+1) x (2d+1) erosion (Cheng et al. 2021, arXiv
2103.16562, sec. 4). A pixel has one label, so all bands together are one map: a pixel is in its own
class's band if and only if its window holds two different labels. An edge is a band of one pixel.
The outside of the image counts as a separate label, as in the published code for bands
(``BoundaryBand.border``), or as no label: the image border is then not an edge.

Since a pixel has one label, the C binary edge maps fit into one set of classes per pixel, stored as
bits of integers; dilating such sets is a running OR. The result equals the one-hot, max-pool form
exactly.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from autoseg_core.counts import BoundaryCounts

BITS = 62  # class bits of a word; stays clear of the sign bit of int64


def in_own_band(labels: Tensor, seen: Tensor, radius: int, border: bool) -> Tensor:
    """Pixels in the band of their own label, (N, H, W) bool.

    labels: (N, H, W) int64. seen: (N, H, W) bool, pixels that take part; the others are not in a
    band and do not cause one. radius: d >= 1, pixels. border: whether the image border is an edge.
    """
    kind = torch.iinfo(torch.int32)
    known = labels.to(torch.int32)
    outside = kind.max if border else kind.min
    most = _window(known.masked_fill(~seen, kind.min), radius, torch.maximum, outside)
    least = _window(known.masked_fill(~seen, kind.max), radius, torch.minimum, kind.max)
    return (most != least) & seen


def label_edges(labels: Tensor, seen: Tensor, num_classes: int) -> Tensor:
    """Edge pixels of every class at once.

    labels: (N, H, W) int64 >= 0; a label >= C differs from its neighbours but has no edges itself.
    seen: (N, H, W) bool, pixels that take part; the others are not edges and do not turn their
    neighbours into edges. Returns (N, H, W) bool.
    """
    return in_own_band(labels, seen, radius=1, border=False) & (labels < num_classes)


def near_boundary(
    target: Tensor, seen: Tensor, num_classes: int, radius: int, drop_background: bool = False
) -> Tensor:
    """Trimap: pixels within ``radius`` of an edge of the target, (N, H, W) bool.

    ``drop_background`` ignores the edges of class 0, as the released code does on VOC.
    """
    edges = label_edges(target, seen, num_classes)
    if drop_background:
        edges = edges & (target != 0)
    return dilate(edges, radius)


def boundary_counts(
    prediction: Tensor, target: Tensor, seen: Tensor, num_classes: int, tolerance: int
) -> BoundaryCounts:
    """Count boundary pixels of every class, and those within ``tolerance`` pixels of the other's.

    prediction, target, seen: as ``label_edges`` takes them. Returns int64 counts (C,). Csurka et
    al. 2013; ASL, arXiv 2010.07930, eq. 4-5.
    """
    true_edges, edges = (label_edges(x, seen, num_classes) for x in (target, prediction))
    true_sets = class_sets(target, true_edges, num_classes)
    sets = class_sets(prediction, edges, num_classes)
    found = (true_sets & dilate(sets, tolerance)).any(dim=0)
    right = (sets & dilate(true_sets, tolerance)).any(dim=0)

    def count(labels: Tensor, mask: Tensor) -> Tensor:
        return torch.bincount(labels[mask], minlength=num_classes)

    return BoundaryCounts(
        target=count(target, true_edges),
        matched_target=count(target, found),
        prediction=count(prediction, edges),
        matched_prediction=count(prediction, right),
    )


def class_sets(labels: Tensor, mask: Tensor, num_classes: int) -> Tensor:
    """One-element class sets: bit ``label`` where ``mask``, else empty; (M, N, H, W) int64."""
    words = torch.arange(-(-num_classes // BITS), device=labels.device).view(-1, 1, 1, 1)
    bit = torch.ones_like(labels) << (labels % BITS)
    return torch.where(mask & (labels // BITS == words), bit, torch.zeros_like(bit))


def dilate(sets: Tensor, radius: int) -> Tensor:
    """Union over the (2r+1) x (2r+1) window around each pixel of (..., H, W) integers or bool."""
    return _window(sets, radius, torch.bitwise_or, outside=0)


def _window(
    maps: Tensor, radius: int, join: Callable[[Tensor, Tensor], Tensor], outside: int
) -> Tensor:
    """``join`` over the (2r+1) x (2r+1) window around each pixel of (..., H, W) integers or bool.

    join: an idempotent function of two tensors (maximum, minimum, OR). outside: the padding value.
    Along each side the window doubles until it is 2r + 1 wide.
    """
    for axis, pad in ((-1, [radius, radius]), (-2, [0, 0, radius, radius])):
        size, width = maps.shape[axis], 2 * radius + 1
        maps, have = F.pad(maps, pad, value=outside), 1
        while have < width:
            step = min(have, width - have)
            rest = maps.shape[axis] - step
            maps = join(maps.narrow(axis, 0, rest), maps.narrow(axis, step, rest))
            have += step
        maps = maps.narrow(axis, 0, size)
    return maps
