"""Soft boundary counts: logits -> boundary (matches), the readable reference.

N: images; C: classes; H, W: pixels. The inner edge of a map p is XOR(p, e) with e its 3x3 erosion
(min-pool). XOR = OR - AND has no truth to lean on. Two forms of it, both exact at 0/1 maps:
    free curves (released code)  AND = g1(p) g2(e),   OR = g3(p) + g4(e) - g3(p) g4(e);
    difference                   XOR = g(p) - g(e).
The first may see edges in flat areas, and negative ones. The second cannot: e <= p and g does not
fall, so it is 0 where p = e, at least 0 elsewhere, 1 at (1, 0), and monotone in both. As erosion
commutes with such a g, it is the edge of the map g(p): the steeper g is around 1/2, the closer to
the edges of the thresholded map, which is what the metric counts.
Target edges stay exact, dilation is max-pooling, the ANDs inside precision and recall are products.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from autoseg_core.counts import BoundaryCounts
from autoseg_core.metrics.boundaries import label_edges
from autoseg_core.surfaces.operations import (
    XOR,
    XOR_DIFFERENCE,
    Curve,
    Curves,
    difference_xor,
    logical_xor,
)
from autoseg_core.surrogates.regions import one_hot_mask

FREE_CURVES, DIFFERENCE = XOR, XOR_DIFFERENCE


def erode(probability: Tensor, mask: Tensor) -> Tensor:
    """3x3 minimum of (N, C, H, W) over the pixels of ``mask`` (N, H, W); 1 where there are none."""
    # 1 is the largest probability: neither a masked pixel nor the image border lowers a minimum.
    kept = torch.where(mask[:, None], probability, torch.ones_like(probability))
    return -F.max_pool2d(-kept, 3, stride=1, padding=1)


def dilate(edges: Tensor, radius: int) -> Tensor:
    """(2r+1) x (2r+1) maximum of (N, C, H, W), as two one-dimensional passes."""
    size = 2 * radius + 1
    rows = F.max_pool2d(edges, (1, size), stride=1, padding=(0, radius))
    return F.max_pool2d(rows, (size, 1), stride=1, padding=(radius, 0))


XOR_FORMS: dict[tuple[str, ...], Callable[[Curves, Tensor, Tensor], Tensor]] = {
    FREE_CURVES: logical_xor,
    DIFFERENCE: difference_xor,
}


def soft_edges(probability: Tensor, mask: Tensor, curves: dict[str, Curve]) -> Tensor:
    """XOR surrogate of each pixel with its erosion, (N, C, H, W); 0 outside ``mask``.

    curves: those of ``FREE_CURVES`` or of ``DIFFERENCE``, by name; they select the form.
    """
    xor = XOR_FORMS[tuple(curves)](curves, probability, erode(probability, mask))
    return torch.where(mask[:, None], xor, torch.zeros_like(xor))


def soft_boundary_counts(
    probability: Tensor, target: Tensor, mask: Tensor, curves: dict[str, Curve], tolerance: int
) -> BoundaryCounts:
    """Count boundary pixels with curves in place of logic.

    probability: (N, C, H, W) float in [0, 1]. target: (N, H, W) int64, in [0, C] wherever ``mask``
    (N, H, W) bool is true; C is a neighbour without edges of its own (``label_edges``). curves:
    those of ``soft_edges``. tolerance: pixels.
    Returns counts (C,) with gradients. Csurka et al. 2013; ASL, arXiv 2010.07930, eq. 4-5.
    """
    classes = probability.shape[1]
    truth = one_hot_mask(target, label_edges(target, mask, classes), classes).to(probability.dtype)
    edges = soft_edges(probability, mask, curves)

    def count(values: Tensor) -> Tensor:
        return values.sum(dim=(0, 2, 3))

    return BoundaryCounts(
        target=count(truth),
        matched_target=count(truth * dilate(edges, tolerance)),
        prediction=count(edges),
        matched_prediction=count(edges * dilate(truth, tolerance)),
    )
