"""Soft region counts: logits and labels -> (T, I, U, pixels).

N: images; C: classes; P: pixels of an image, in any number of dimensions; G: curves of a term; K:
control points. With y one-hot and p the softmax, the truth table leaves one free curve to each
operation: AND(y, p) = g_and(p) y and OR(y, p) = y + g_or(p) (1 - y). Hence
    I_c = sum of g_and(p_c) over pixels of class c,
    U_c = T_c + sum of g_or(p_c) over the other pixels          (ASL, arXiv 2010.07930, sec. 3).

Labels are integers: under "softmax" the class of each pixel, (N, P); under "sigmoid", where classes
do not exclude each other, 0 or 1 for each class, (N, C, P). -1 marks what does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor

from autoseg_core.counts import RegionCounts
from autoseg_core.numerics import working_dtype
from autoseg_core.surfaces import get_surface
from autoseg_core.surfaces.operations import Curve
from autoseg_core.surrogates.kernels import Backend, region_sums
from autoseg_core.surrogates.kernels.tables import curve_table
from autoseg_core.surrogates.kernels.upsampled import upsample

Activation = Literal["softmax", "sigmoid"]
ACTIVATIONS: tuple[str, ...] = get_args(Activation)


def soft_region_counts(
    logits: Tensor,
    labels: Tensor,
    points: Tensor,
    surface: str,
    activation: Activation = "softmax",
    backend: Backend = "auto",
    size: Sequence[int] | None = None,
    align_corners: bool = False,
) -> RegionCounts:
    """Count with curves in place of logic; (C,) counts of the batch, with gradients.

    logits: (N, C, P) of any float dtype; counts are float32, or float64 for float64. labels: see
    the module; the logits of what does not count may be anything. points: (G, K, 2) of the curves
    g_and and, for metrics that use the union, g_or, else the union is that of the identity curve.
    Gradients in ``points`` are known to the backend "reference" alone, which is taken for them.
    With ``size`` = (H, W) logits are (N, C, h, w), and counted after bilinear upsampling to P =
    H * W pixels; ``align_corners``: as ``F.interpolate`` has it.
    Raises ``RuntimeError`` for points on another device than the logits.
    """
    if points.device != logits.device:
        raise RuntimeError(
            f"The loss's control points are on device {points.device}, the logits on "
            f"{logits.device}: move the loss, loss.to({str(logits.device)!r})."
        )
    target = target_counts(labels, logits.shape[1]).to(working_dtype(logits.dtype))
    if backend == "reference" or points.requires_grad:
        if size is not None:
            logits = upsample(logits, size, align_corners).flatten(2)
        g_and, g_or = _curves(points, surface, logits)
        sums = reference_sums(logits, labels, g_and, g_or, activation)
    else:
        tables = [curve_table(surface, p, working_dtype(logits.dtype)) for p in points]
        or_table = tables[1] if len(tables) > 1 else None
        sums = region_sums(
            logits, labels, tables[0], or_table, activation, backend, size, align_corners
        )
    intersection, claimed = sums
    pixels = counted_pixels(labels, logits.shape[1]).to(target)
    return RegionCounts(target, intersection, target + claimed, pixels)


def complete_curves(names: Sequence[str], points: Tensor) -> Tensor:
    """Points of g_and, and of g_or where it is used, from those (G, K, 2) of a metric's curves.

    A metric that does not look at the intersection has no g_and: the identity stands in for it.
    """
    if "and" in names:
        return points
    line = torch.linspace(0, 1, points.shape[1], dtype=points.dtype, device=points.device)
    return torch.cat([torch.stack([line, line], dim=1)[None], points])


def counted_pixels(labels: Tensor, num_classes: int) -> Tensor:
    """Pixels of the batch that count for each class, whatever their label; (C,) int64."""
    counts = labels >= 0
    return counts.sum((0, 2)) if labels.ndim == 3 else counts.sum().repeat(num_classes)


def target_counts(labels: Tensor, num_classes: int) -> Tensor:
    """Pixels of each class in the batch, (C,) int64."""
    if labels.ndim == 3:
        return (labels == 1).sum((0, 2))
    bins = torch.where(labels < 0, num_classes, labels).long().flatten()
    counts = bins.new_zeros(num_classes + 1)
    # Not bincount, which asks a GPU for the largest label and waits for the answer.
    return counts.scatter_add_(0, bins, torch.ones_like(bins))[:num_classes]


def reference_sums(
    logits: Tensor, labels: Tensor, g_and: Curve, g_or: Curve, activation: Activation
) -> Tensor:
    """What ``kernels.region_sums`` computes, written as the formulas stand; (2, C)."""
    per_class = labels if labels.ndim == 3 else labels[:, None]
    known = torch.where(per_class >= 0, logits, torch.zeros_like(logits))
    values = known.to(working_dtype(logits.dtype))
    if activation == "softmax":
        p = values.softmax(1)
        classes = torch.arange(p.shape[1], device=labels.device).view(1, -1, 1)
        own, other = per_class == classes, (per_class >= 0) & (per_class != classes)
    else:
        p, own, other = values.sigmoid(), per_class == 1, per_class == 0
    nothing = torch.zeros_like(p)
    found, claimed = torch.where(own, g_and(p), nothing), torch.where(other, g_or(p), nothing)
    return torch.stack([found.sum((0, 2)), claimed.sum((0, 2))])


def _curves(points: Tensor, surface: str, logits: Tensor) -> tuple[Curve, Curve]:
    value = get_surface(surface).value
    curves = [partial(value, p.to(working_dtype(logits.dtype))) for p in points]
    return curves[0], curves[1] if len(curves) > 1 else lambda x: x
