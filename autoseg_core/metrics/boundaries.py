"""Exact boundary counts from label maps, without one-hot maps.

N: images; H, W: pixels; H', W': the same with a margin (``metrics.windows``); C: classes;
M = ceil(C / 62) words of class bits. A pixel has one label, so the C binary edge maps fit into one
set of classes a pixel, kept as bits of integers; dilating such sets is a running OR. Integers only:
the result equals the one-hot, max-pool form to the last.

An edge pixel differs from the 3x3 erosion of its own class's map (inner, one pixel wide): one of
its eight neighbours has another label. The image border is not an edge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from autoseg_core.counts import BoundaryCounts
from autoseg_core.metrics.arrays import (
    Array,
    as_tensor,
    cast,
    empty,
    full,
    histogram,
    library,
    positions,
)
from autoseg_core.metrics.windows import framed, inside, room, window

BITS = 62  # class bits a word of ``class_sets``; stays clear of the sign bit of int64
WORDS = {8: "uint8", 15: "int16", 31: "int32", 63: "int64"}  # class bits that a word holds


def label_edges(labels: Tensor, seen: Tensor, num_classes: int) -> Tensor:
    """Edge pixels of every class at once.

    labels: (N, H, W) int64 >= 0; a label >= C differs from its neighbours but has no edges itself.
    seen: (N, H, W) bool, pixels that take part; the others neither are edges nor make their
    neighbours edges. Returns (N, H, W) bool.
    """
    frame = framed(labels.clamp(max=num_classes), seen, num_classes + 1, margin=1)
    edges: Tensor = inside(edge_maps(frame, num_classes), 1)
    return edges.contiguous()


def edge_maps(maps: Array, num_classes: int) -> Array:
    """Edge pixels of framed label maps (..., H', W'); bool, false in the margin.

    Labels >= 0; label C is a neighbour but has no edges itself, label C + 1 is not seen at all.
    """
    of = library(maps)
    lowest = window(maps, 1, of.minimum)
    highest = window(maps * (maps <= num_classes), 1, of.maximum)
    return (lowest != highest) & (maps < num_classes)


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
    maps: Sequence[Array], edges: Sequence[Array], num_classes: int, tolerance: int
) -> BoundaryCounts:
    """Count boundary pixels of every class, and those within ``tolerance`` pixels of the other's.

    maps: labels of prediction and target, each (N, H', W') with a margin >= ``tolerance``. edges:
    their ``edge_maps``. Returns int64 counts (C,). Csurka et al. 2013; ASL, arXiv 2010.07930,
    eq. 4-5. Only classes with an edge in both can match, and only they get a bit.
    """
    places = [positions(edges[k].reshape(-1)) for k in (0, 1)]
    labels = [cast(maps[k].reshape(-1)[places[k]], "int64") for k in (0, 1)]
    totals = [histogram(labels[k], num_classes) for k in (0, 1)]
    shared = positions((totals[0] > 0) & (totals[1] > 0))
    hits = [labels[k] < 0 for k in (0, 1)]
    for first in range(0, len(shared), max(WORDS)):
        bits = _bits(shared[first : first + max(WORDS)], num_classes)
        own = [bits[labels[k]] for k in (0, 1)]
        buffers = [empty(room(maps[0], tolerance), bits) for _ in range(2)]
        for this, other in ((0, 1), (1, 0)):
            buffers[1][...] = 0
            buffers[1][places[other]] = own[other]
            sets = buffers[1][: math.prod(maps[0].shape)].reshape(maps[0].shape)
            near = window(sets, tolerance, library(sets).bitwise_or, buffers).reshape(-1)
            hits[this] |= (near[places[this]] & own[this]) != 0
    matched = [histogram(labels[k], num_classes, hits[k]) for k in (0, 1)]
    counts = (totals[1], matched[1], totals[0], matched[0])
    return BoundaryCounts(*(as_tensor(x) for x in counts))


def _bits(classes: Array, num_classes: int) -> Array:
    """Each class's own bit, in the smallest word that has one for each; 0 for other classes."""
    word = next(name for bits, name in WORDS.items() if len(classes) <= bits)
    bits = full((num_classes,), 0, "int64", like=classes)
    bits[classes] = 1 << library(classes).arange(len(classes), device=classes.device)
    return cast(bits, word)


def class_sets(labels: Tensor, mask: Tensor, num_classes: int) -> Tensor:
    """One-element class sets: bit ``label`` where ``mask``, else empty; (M, N, H, W) int64."""
    words = torch.arange(-(-num_classes // BITS), device=labels.device).view(-1, 1, 1, 1)
    bit = torch.ones_like(labels) << (labels % BITS)
    return torch.where(mask & (labels // BITS == words), bit, torch.zeros_like(bit))


def dilate_sets(sets: Tensor, radius: int) -> Tensor:
    """Union over the (2r+1) x (2r+1) window around each pixel of (..., H, W) integers or bool."""
    frame = F.pad(sets, [radius] * 4)
    dilated: Tensor = inside(window(frame, radius, torch.bitwise_or), radius)
    return dilated.contiguous()
