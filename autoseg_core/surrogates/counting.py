"""Counts of one term: labels and logits -> the arguments of its metric.

C: classes; G: curves of a term; K: control points of a curve.

Backends, all with the same result up to rounding:
- "native": C++ on CPUs; keeps nothing but the logits (``autoseg_core.native``);
- "triton": the same on CUDA, for metrics of the whole image and of its trimap;
- "reference": plain differentiable PyTorch, which the others must match. Only it supports second
  derivatives, forward mode and gradients with respect to the control points;
- "auto": a kernel where there is one, else the reference part by part, each recomputed in the
  backward pass, so that never much more than the logits is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce
from operator import add
from typing import Literal, get_args

import torch
from torch import Tensor

from autoseg_core import native
from autoseg_core.counts import BoundaryCounts, Counts, RegionCounts
from autoseg_core.metrics.boundaries import in_own_band, label_edges, near_boundary
from autoseg_core.native import operations, triton
from autoseg_core.native.tables import curve_tables
from autoseg_core.numerics import working_dtype
from autoseg_core.scores import BoundaryBand, Region, get_metric
from autoseg_core.spec import LossTerm
from autoseg_core.surfaces import get_surface
from autoseg_core.surfaces.operations import Curve
from autoseg_core.surrogates import parts
from autoseg_core.surrogates.batch import Batch
from autoseg_core.surrogates.boundaries import soft_bands, soft_boundary_counts
from autoseg_core.surrogates.regions import one_hot_mask, soft_region_counts

Backend = Literal["auto", "reference", "native", "triton"]
BACKENDS: tuple[str, ...] = get_args(Backend)


def soft_counts(term: LossTerm, points: Tensor, batch: Batch, backend: Backend = "auto") -> Counts:
    """Counts of one term: the expensive part, before any ratio is taken.

    points: (G, K, 2), on the device of the logits. Returns (C,) counts, float64 for float64 logits
    and float32 for others; counts of several batches or processes may be added before they are
    scored. Raises ``ValueError`` for labels outside the classes, ``RuntimeError`` for an
    unavailable backend.
    """
    if points.requires_grad:
        backend = "reference"
    if choose(batch, get_metric(term.metric).region, backend) != "reference":
        return _kernel_counts(term, points, batch)
    batch.check_labels()
    if backend == "reference" or not batch.logits.requires_grad or len(batch.logits) == 0:
        return _reference_counts(term, points, batch)
    return _counts_in_parts(term, points, batch)


def choose(batch: Batch, region: Region, backend: Backend) -> str:
    """The backend for the counts of a region: "native", "triton" or "reference".

    Raises ``RuntimeError`` for a requested kernel that is unavailable.
    """
    on_cpu, whole = batch.logits.device.type == "cpu", region in ("image", "trimap")
    if backend == "reference":
        return backend
    if backend == "native" and not (on_cpu and native.CPU):
        raise RuntimeError(
            "backend='native' needs logits on a CPU and the C++ kernels (see the log); got logits "
            f"on {batch.logits.device}. Use backend='auto'."
        )
    if not on_cpu or backend == "triton":
        fits = whole and triton.fits(batch.logits)
        if backend == "triton" and not fits and (whole or on_cpu):
            raise RuntimeError(
                "backend='triton' needs Triton, a CUDA GPU, at most "
                f"{triton.MAX_CLASSES} classes and no float64; got {batch.logits.dtype} logits of "
                f"shape {tuple(batch.logits.shape)} on {batch.logits.device}. Use backend='auto'."
            )
        return "triton" if fits else "reference"
    return "native" if on_cpu and native.CPU else "reference"


def _kernel_counts(term: LossTerm, points: Tensor, batch: Batch) -> Counts:
    operations.refuse_forward_mode(batch.logits)
    metric, dtype = get_metric(term.metric), working_dtype(batch.logits.dtype)
    whole = metric.region in ("image", "trimap")
    if term.curves == ("or",):
        points = _with_identity(points)
    tables = curve_tables(term.surface, points, dtype)
    if whole:
        return _region_counts(_region_sums(term, tables, batch))
    # Erosions need the neighbours of a pixel: logits of the full size.
    logits = batch.logits if batch.size is None else batch.upsampled()
    common = (logits, batch.target, tables, batch.ignore_index, term.void_edges)
    if isinstance(metric.region, BoundaryBand):
        width = metric.region.pixels(*batch.target.shape[-2:])
        sums = torch.ops.autoseg.band_sums(*common, width, metric.region.border)
        return _region_counts(sums)
    sums = torch.ops.autoseg.boundary_sums(*common, _reach(term, batch))
    return BoundaryCounts(*sums.unbind())


def _region_sums(term: LossTerm, tables: Sequence[Tensor], batch: Batch) -> Tensor:
    logits, target, void = batch.logits, batch.target, batch.ignore_index
    if logits.ndim == 5:  # depth is one more side of rows
        logits, target = logits.flatten(2, 3), target.flatten(-3, -2)
    if get_metric(term.metric).region == "trimap":
        classes = logits.shape[1]
        rules = (_reach(term, batch), term.drop_background, term.void_edges)
        target, void = torch.ops.autoseg.trimap(target, classes, void, *rules), classes
    sums: Tensor = torch.ops.autoseg.region_sums(logits, target, tables, void, batch.align_corners)
    return sums


def _reach(term: LossTerm, batch: Batch) -> int:
    return min(term.tolerance, max(batch.target.shape[-2:]))  # no pixel is further away


def _region_counts(sums: Tensor) -> RegionCounts:
    found, claimed, target, pixels = sums.unbind()
    return RegionCounts(target, found, target + claimed, pixels)


def _with_identity(points: Tensor) -> Tensor:
    """Points of the identity, in the place of g_and, before those of g_or."""
    line = torch.linspace(0, 1, points.shape[1], dtype=points.dtype, device=points.device)
    return torch.cat([torch.stack([line, line], dim=1)[None], points])


def _counts_in_parts(term: LossTerm, points: Tensor, batch: Batch) -> Counts:
    if torch.compiler.is_compiling():  # how many parts there are would be fixed in the graph
        count = partial(_reference_counts, term, points)
    else:
        count = partial(_reference_counts, term, points, in_parts=parts.by_classes)
        if batch.size is None:
            return count(batch)
    return reduce(add, [parts.recomputed(count, image) for image in batch.images()])


def _whole(count: parts.Count, *maps: Tensor) -> Counts:
    return count(*maps)


def _reference_counts(
    term: LossTerm, points: Tensor, batch: Batch, in_parts: Callable[..., Counts] = _whole
) -> Counts:
    logits, valid, classes = batch.upsampled(), batch.valid, batch.logits.shape[1]
    region, value = get_metric(term.metric).region, get_surface(term.surface).value
    curves: dict[str, Curve] = {
        name: partial(value, curve)
        for name, curve in zip(term.curves, points.to(logits.dtype), strict=True)
    }
    of_pixels = partial(soft_region_counts, curves=curves)
    if batch.activation == "sigmoid":
        p = torch.where(valid, logits, 0.0).sigmoid()
        return in_parts(of_pixels, p, valid & (batch.target == 1), valid)
    # Pixels that cause edges: all, with void as one more label, or only valid ones.
    seen = torch.ones_like(valid) if term.void_edges else valid
    target, reach = torch.where(valid, batch.target.long(), classes), _reach(term, batch)
    if region == "trimap":
        valid = valid & near_boundary(target, seen, classes, reach, term.drop_background)
    looked_at = valid if region in ("image", "trimap") else seen
    # Zeros in place of other logits: even a NaN there must reach neither sums nor gradients.
    p = torch.where(looked_at[:, None], logits, 0.0).softmax(1)
    if region == "boundary":
        edges = one_hot_mask(target, label_edges(target, seen, classes), classes)
        of_edges = partial(soft_boundary_counts, curves=curves, tolerance=reach)
        return in_parts(of_edges, p, edges, seen[:, None])
    if not isinstance(region, BoundaryBand):
        return in_parts(of_pixels, p, one_hot_mask(target, valid, classes), valid[:, None])
    width, border = region.pixels(*target.shape[-2:]), region.border
    own = one_hot_mask(target, in_own_band(target, seen, width, border) & valid, classes)

    def of_bands(p: Tensor, own: Tensor, seen: Tensor, valid: Tensor) -> Counts:
        return of_pixels(soft_bands(p, seen, width, border), own, valid)

    return in_parts(of_bands, p, own, seen[:, None], valid[:, None])
