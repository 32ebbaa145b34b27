"""Exact boundary counts from label maps, without one-hot maps.

N: images; H, W: pixels; C: classes; M = ceil(C / 62) words of class bits. A pixel has one label, so
the C binary edge maps fit into one set of classes per pixel, kept as bits of integers; dilating
such sets is a running OR. Integers only: the result equals the one-hot, max-pool form to the last.

An edge pixel differs from the 3x3 erosion of its own class's map (inner, one pixel wide): one of
its eight neighbours has another label. The image border is not an edge.
"""

from __future__ import annotations

import torch
from torch import Tensor

from autoseg_core.counts import BoundaryCounts
from autoseg_core.metrics.bands import in_own_band
from autoseg_core.metrics.windows import window

BITS = 62  # class bits of a word; stays clear of the sign bit of int64


def label_edges(labels: Tensor, seen: Tensor, num_classes: int) -> Tensor:
    """Edge pixels of every class at once.

    labels: (N, H, W) int64 >= 0; a label >= C differs from its neighbours but has no edges itself.
    seen: (N, H, W) bool, pixels that take part; the others neither are edges nor make their
    neighbours edges. Returns (N, H, W) bool.
    """
    return in_own_band(labels, seen, radius=1, border=False) & (labels < num_classes)


def near_boundary(
    target: Tensor, seen: Tensor, num_classes: int, radius: int, drop_background: bool = False
) -> Tensor:
    """Trimap: pixels within ``radius`` of an edge of the target, (N, H, W) bool.

    ``drop_background`` leaves the edges of class 0 out, as the released code does on VOC.
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
    return window(sets, radius, torch.bitwise_or, outside=0)
