"""Exact boundary counts from label maps, without one-hot maps.

N: images; H, W: pixels; C: classes; M = ceil(C / 62) words of class bits. A pixel has one label, so
the C binary edge maps fit into one set of classes a pixel, kept as bits of int64 words; dilating
such sets is a running OR. Integers only: the result equals the one-hot, max-pool form to the last.

An edge pixel differs from the 3x3 erosion of its own class's map (inner, one pixel wide): one of
its eight neighbours has another label. The image border is not an edge.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from autoseg_core.counts import BoundaryCounts

BITS = 62  # class bits a word; stays clear of the sign bit of int64


def label_edges(labels: Tensor, seen: Tensor, num_classes: int) -> Tensor:
    """Edge pixels of every class at once.

    labels: (N, H, W) int64 >= 0; a label >= C differs from its neighbours but has no edges itself.
    seen: (N, H, W) bool, pixels that take part; the others neither are edges nor make their
    neighbours edges. Returns (N, H, W) bool.
    """
    edges = torch.zeros_like(seen)
    height, width = labels.shape[-2:]
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):  # each pair of neighbours once
        here = (..., slice(0, height - down), slice(max(0, -right), width - max(0, right)))
        there = (..., slice(down, height), slice(max(0, right), width + min(0, right)))
        differ = (labels[here] != labels[there]) & seen[here] & seen[there]
        edges[here] |= differ
        edges[there] |= differ
    return edges & (labels < num_classes)


def class_sets(labels: Tensor, mask: Tensor, num_classes: int) -> Tensor:
    """One-element class sets: bit ``label`` where ``mask``, else empty; (M, N, H, W) int64."""
    words = torch.arange(-(-num_classes // BITS), device=labels.device).view(-1, 1, 1, 1)
    bit = torch.ones_like(labels) << (labels % BITS)
    return torch.where(mask & (labels // BITS == words), bit, torch.zeros_like(bit))


def dilate_sets(sets: Tensor, radius: int) -> Tensor:
    """Union over the (2r+1) x (2r+1) window around each pixel of (..., H, W) int64 sets or bool."""
    return _dilate_axis(_dilate_axis(sets, radius, -1), radius, -2)


def contains_label(sets: Tensor, labels: Tensor) -> Tensor:
    """Whether each pixel's set (M, N, H, W) holds that pixel's label (N, H, W); bool (N, H, W)."""
    word = sets.gather(0, (labels // BITS).clamp(0, sets.shape[0] - 1)[None])[0]
    return ((word >> (labels % BITS)) & 1).bool()


def near_boundary(
    target: Tensor, seen: Tensor, num_classes: int, radius: int, drop_background: bool = False
) -> Tensor:
    """Trimap: pixels within ``radius`` of an edge of the target, (N, H, W) bool.

    ``drop_background`` leaves the edges of class 0 out, as the released code does on VOC.
    """
    edges = label_edges(target, seen, num_classes)
    if drop_background:
        edges = edges & (target != 0)
    return dilate_sets(edges, radius)


def boundary_counts(
    prediction: Tensor,
    target: Tensor,
    seen: Tensor,
    num_classes: int,
    tolerance: int,
) -> BoundaryCounts:
    """Count boundary pixels of every class, and those within ``tolerance`` pixels of the other's.

    prediction, target: (N, H, W) int64. seen: (N, H, W) bool, pixels that take part. Returns int64
    counts (C,). Csurka et al. 2013; ASL, arXiv 2010.07930, eq. 4-5.
    """
    edge_p = label_edges(prediction, seen, num_classes)
    edge_t = label_edges(target, seen, num_classes)
    near_p = dilate_sets(class_sets(prediction, edge_p, num_classes), tolerance)
    near_t = dilate_sets(class_sets(target, edge_t, num_classes), tolerance)
    hit_p = edge_p & contains_label(near_t, prediction)
    hit_t = edge_t & contains_label(near_p, target)

    def count(labels: Tensor, mask: Tensor) -> Tensor:
        return torch.bincount(labels[mask], minlength=num_classes)

    return BoundaryCounts(
        target=count(target, edge_t),
        matched_target=count(target, hit_t),
        prediction=count(prediction, edge_p),
        matched_prediction=count(prediction, hit_p),
    )


def _dilate_axis(sets: Tensor, radius: int, axis: int) -> Tensor:
    """OR over [x - r, x + r]: pad with empty sets, then double the window until it is 2r + 1."""
    size, window = sets.shape[axis], 2 * radius + 1
    pad = [0, 0, radius, radius] if axis == -2 else [radius, radius]
    out, have = F.pad(sets, pad), 1
    while have < window:
        step = min(have, window - have)
        out = out.narrow(axis, 0, out.shape[axis] - step) | out.narrow(
            axis, step, out.shape[axis] - step
        )
        have += step
    return out.narrow(axis, 0, size)
