"""Counts of one term: labels and logits -> what its metric is a function of.

N: images; C: classes; H, W: pixels; G: curves of a term; K: control points of a curve.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from autoseg_core.counts import Counts, RegionCounts
from autoseg_core.metrics.boundaries import near_boundary
from autoseg_core.numerics import working_dtype
from autoseg_core.scores import Band, get_metric
from autoseg_core.spec import LossTerm
from autoseg_core.surfaces import get_surface
from autoseg_core.surfaces.operations import Curve
from autoseg_core.surrogates.bands import soft_band_counts
from autoseg_core.surrogates.inputs import as_labels
from autoseg_core.surrogates.kernels import Backend
from autoseg_core.surrogates.kernels.boundary import boundary_counts, readable_boundary_counts
from autoseg_core.surrogates.kernels.upsampled import upsample as upsample_logits
from autoseg_core.surrogates.regions import Activation, complete_curves, soft_region_counts


def soft_counts(
    term: LossTerm,
    points: Tensor,
    logits: Tensor,
    target: Tensor,
    ignore_index: int = 255,
    activation: Activation = "softmax",
    backend: Backend = "auto",
    align_corners: bool = False,
) -> Counts:
    """Counts of one term: the expensive part, before any ratio is taken.

    points: (G, K, 2). logits, target: as ``AutoSegLoss.forward`` checked them. Returns (C,) counts;
    those of several batches or processes may be added before they are scored. Logits smaller than
    the target are upsampled.
    """
    metric, classes = get_metric(term.metric), logits.shape[1]
    mask = target != ignore_index
    # What makes edges: everything with void as one more label, or valid pixels alone.
    seen = torch.ones_like(mask) if term.void_edges else mask
    tolerance = min(term.tolerance, max(target.shape[-2:]))  # no pixel is further away
    size = None if logits.shape[2:] == target.shape[-(logits.ndim - 2) :] else target.shape[-2:]
    if size is not None and metric.region not in ("image", "trimap"):
        logits, size = upsample_logits(logits, size, align_corners), None
    if metric.region != "image":
        target = torch.where(mask, target, classes)
    if metric.region == "boundary":
        count = readable_boundary_counts if backend == "reference" else boundary_counts
        return count(logits, target, seen, points, term.surface, tolerance, metric.curves)
    if isinstance(metric.region, Band):
        if backend == "reference" or not logits.requires_grad:
            return _band_counts(term, points, logits, target, seen, mask)
        # Computed again in the backward pass, instead of keeping many times the logits.
        options: dict[str, Any] = {"use_reentrant": False, "preserve_rng_state": False}
        inputs = (term, points, logits, target, seen, mask)
        bands: Counts = checkpoint(_band_counts, *inputs, **options)
        return bands
    if metric.region == "trimap":
        mask = mask & near_boundary(target, seen, classes, tolerance, term.drop_background)
    labels = as_labels(target, mask, activation)
    points = complete_curves(metric.curves, points)
    logits = logits.flatten(2) if size is None else logits
    return soft_region_counts(
        logits, labels, points, term.surface, activation, backend, size, align_corners
    )


def _band_counts(
    term: LossTerm, points: Tensor, logits: Tensor, target: Tensor, seen: Tensor, valid: Tensor
) -> RegionCounts:
    value, metric = get_surface(term.surface).value, get_metric(term.metric)
    dtype = working_dtype(logits.dtype)
    curves: dict[str, Curve] = {
        name: partial(value, curve)
        for name, curve in zip(metric.curves, points.to(dtype), strict=True)
    }
    # Zeros in place of unseen logits: even a NaN there must reach neither sums nor gradients.
    known = torch.where(seen[:, None], logits, torch.zeros_like(logits))
    assert isinstance(metric.region, Band)
    return soft_band_counts(known.to(dtype).softmax(1), target, seen, valid, curves, metric.region)
