"""Soft boundaries: probabilities -> edges, their counts, and bands; the readable reference.

N: images; C: classes; H, W: pixels. The inner edge of a map p is XOR(p, e) with e its 3x3 erosion
(min-pool). XOR = OR - AND has no hard operand. Two forms of it, both exact at 0/1 maps:
    free curves (released code)  AND = g1(p) g2(e),   OR = g3(p) + g4(e) - g3(p) g4(e);
    difference                   XOR = g(p) - g(e).
The first may find edges in flat areas, even negative ones. The second cannot: e <= p and g does not
decrease, so it is 0 where p = e, at least 0 elsewhere, 1 at (1, 0), and monotone in both. As
erosion commutes with such a g, it is the edge of the map g(p): the steeper g is around 1/2, the
closer to the edges of the thresholded map, which is what the metric counts. Target edges stay
exact, dilation is max-pooling, the ANDs inside precision and recall are products.

The band of Boundary IoU is b = p - e with a wider erosion. ``soft_region_counts`` takes it in place
of p. Where p is 0 or 1 everywhere, b is the exact band of ``metrics.boundaries``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from autoseg_core.counts import BoundaryCounts
from autoseg_core.surfaces.operations import OPERATIONS, Curves

_XOR = {operation.curves: operation.value for operation in OPERATIONS if operation.name == "XOR"}


def dilate(maps: Tensor, radius: int) -> Tensor:
    """(2r+1) x (2r+1) maximum of (N, C, H, W), as two one-dimensional passes."""
    size = 2 * radius + 1
    rows = F.max_pool2d(maps, (1, size), stride=1, padding=(0, radius))
    return F.max_pool2d(rows, (size, 1), stride=1, padding=(radius, 0))


def erode(probability: Tensor, seen: Tensor, radius: int = 1, border: bool = False) -> Tensor:
    """(2r+1) x (2r+1) minimum of (N, C, H, W) over the pixels of ``seen``; 1 where there are none.

    seen: (N, 1, H, W) bool. border: outside the image every probability is 0; else the outside does
    not affect the minimum.
    """
    # 1 is the largest probability: no unseen pixel lowers a minimum.
    kept = torch.where(seen, probability, torch.ones_like(probability))
    framed = F.pad(kept, [radius] * 4, value=0.0 if border else 1.0)
    return -dilate(-framed, radius)[..., radius:-radius, radius:-radius]


def soft_bands(probability: Tensor, seen: Tensor, radius: int, border: bool) -> Tensor:
    """Each class's probability less its erosion, (N, C, H, W) in [0, 1]; 0 outside ``seen``.

    radius: d >= 1, pixels. border: the image border is an edge. Other arguments as ``erode``.
    """
    band = probability - erode(probability, seen, radius, border)
    return torch.where(seen, band, torch.zeros_like(band))


def soft_edges(probability: Tensor, seen: Tensor, curves: Curves) -> Tensor:
    """XOR surrogate of each pixel with its erosion, (N, C, H, W); 0 outside ``seen``.

    curves: those of one form of XOR, by name (``surfaces.operations``). Other arguments: ``erode``.
    """
    edges = _XOR[tuple(curves)](curves, probability, erode(probability, seen))
    return torch.where(seen, edges, torch.zeros_like(edges))


def soft_boundary_counts(
    probability: Tensor, target_edges: Tensor, seen: Tensor, curves: Curves, tolerance: int
) -> BoundaryCounts:
    """Count boundary pixels with curves in place of logic.

    probability: (N, C, H, W) float in [0, 1]. target_edges: bool of that shape. seen: (N, 1, H, W)
    bool, pixels that make edges. curves: those of ``soft_edges``. tolerance: pixels.
    Returns counts (C,) with gradients. Csurka et al. 2013; ASL, arXiv 2010.07930, eq. 4-5.
    """
    truth = target_edges.to(probability.dtype)
    edges = soft_edges(probability, seen, curves)

    def count(values: Tensor) -> Tensor:
        return values.sum(dim=(0, 2, 3))

    return BoundaryCounts(
        target=count(truth),
        matched_target=count(truth * dilate(edges, tolerance)),
        prediction=count(edges),
        matched_prediction=count(edges * dilate(truth, tolerance)),
    )
