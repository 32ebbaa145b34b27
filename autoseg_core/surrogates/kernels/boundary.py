"""Lean boundary counts: logits -> boundary (matches), keeping the logits and two label maps.

N: images; C: classes; H, W: pixels; G: curves; K: control points. Same counts and gradients as
``surrogates.boundaries.soft_boundary_counts``, which keeps some 26 times the logits for backward.
How they are computed is told in ``boundary_passes``; this is the operation that autograd knows.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from autoseg_core.counts import BoundaryCounts
from autoseg_core.numerics import working_dtype
from autoseg_core.surfaces import get_surface
from autoseg_core.surfaces.operations import Curve
from autoseg_core.surrogates.boundaries import (
    FREE_CURVES,
    check_curve_names,
    soft_boundary_counts,
)
from autoseg_core.surrogates.kernels import boundary_passes, refuse_forward_mode


def boundary_counts(
    logits: Tensor,
    target: Tensor,
    mask: Tensor,
    points: Tensor,
    surface: str,
    tolerance: int,
    names: tuple[str, ...] = FREE_CURVES,
) -> BoundaryCounts:
    """Count boundary pixels with curves in place of logic.

    logits: (N, C, H, W) of any float dtype. target: (N, H, W) int64, in [0, C] wherever ``mask``
    (N, H, W) bool is true, C for void that edges see; logits elsewhere, even NaN, reach neither
    counts nor gradients. points: (G, K, 2) control points of the curves ``names``, on the logits'
    device. surface: a name of ``surfaces.SURFACES``. tolerance: pixels. Returns counts (C,),
    float64 for float64 logits and float32 for others.

    Kept for backward: the logits and 8 bytes a pixel. The readable reference, with its memory, does
    the work for points that require a gradient and for gradients of gradients. Raises
    ``ValueError`` for unknown surfaces or curves and for points that do not fit them,
    ``RuntimeError`` for points on another device.
    """
    surface, names = get_surface(surface).name, check_curve_names(names)
    _check_points(points, names, logits.device)
    if points.requires_grad:
        return readable_boundary_counts(logits, target, mask, points, surface, tolerance, names)
    refuse_forward_mode(logits)
    labels = torch.where(mask, target, -1).int().contiguous()
    operation = torch.ops.autoseg.boundary_sums
    sums, _ = operation(logits, labels, points, surface, tolerance, _SEPARATOR.join(names))
    return BoundaryCounts(*sums.unbind())


_SEPARATOR = ","  # custom operations take strings, but no tuples of them


def _check_points(points: Tensor, names: tuple[str, ...], device: torch.device) -> None:
    if points.ndim != 3 or len(points) != len(names):
        raise ValueError(
            f"Expected control points of shape ({len(names)}, K, 2) for the curves "
            f"({', '.join(names)}), got {tuple(points.shape)}."
        )
    if points.device != device:
        raise RuntimeError(
            f"The loss's control points are on device {points.device}, the logits on {device}: "
            f"move the loss, loss.to({str(device)!r})."
        )


def readable_boundary_counts(
    logits: Tensor,
    target: Tensor,
    mask: Tensor,
    points: Tensor,
    surface: str,
    tolerance: int,
    names: tuple[str, ...] = FREE_CURVES,
) -> BoundaryCounts:
    """The same counts by plain differentiable PyTorch; arguments as ``boundary_counts``."""
    known = torch.where(mask[:, None], logits, torch.zeros_like(logits))
    probability = known.to(working_dtype(logits.dtype)).softmax(dim=1)
    value, points = get_surface(surface).value, points.to(probability.dtype)
    curves: dict[str, Curve] = {
        name: partial(value, curve) for name, curve in zip(names, points, strict=True)
    }
    return soft_boundary_counts(probability, target, mask, curves, tolerance)


@torch.library.custom_op("autoseg::boundary_sums", mutates_args=())
def _boundary_sums(
    logits: Tensor, labels: Tensor, points: Tensor, surface: str, tolerance: int, names: str
) -> tuple[Tensor, Tensor]:
    """The fields of ``BoundaryCounts`` (4, C), and the peaks (N, H, W) that backward needs."""
    settings = boundary_passes.Settings(surface, tuple(names.split(_SEPARATOR)), tolerance)
    return boundary_passes.forward(logits, labels, points, settings)


@torch.library.custom_op("autoseg::boundary_sums_backward", mutates_args=())
def _boundary_sums_backward(
    logits: Tensor,
    labels: Tensor,
    points: Tensor,
    peaks: Tensor,
    gradient: Tensor,
    surface: str,
    tolerance: int,
    names: str,
) -> Tensor:
    settings = boundary_passes.Settings(surface, tuple(names.split(_SEPARATOR)), tolerance)
    return boundary_passes.backward(logits, labels, points, peaks, gradient, settings)


@_boundary_sums.register_fake
def _(logits: Tensor, labels: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    sums = logits.new_empty(4, logits.shape[1], dtype=working_dtype(logits.dtype))
    return sums, torch.empty_like(labels)


@_boundary_sums_backward.register_fake
def _(logits: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(logits)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    logits, labels, points, *ctx.options = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(logits, labels, points, output[1])


def _differentiate(ctx: Any, gradient: Tensor, _: Any) -> tuple[Tensor | None, ...]:
    if torch.is_grad_enabled():  # create_graph=True: this gradient is to be differentiated again
        result = _readable_gradient(gradient, *ctx.saved_tensors, *ctx.options)
    else:
        operation = torch.ops.autoseg.boundary_sums_backward
        result = operation(*ctx.saved_tensors, gradient, *ctx.options)
    return result, None, None, None, None, None


def _readable_gradient(
    gradient: Tensor,
    logits: Tensor,
    labels: Tensor,
    points: Tensor,
    _: Tensor,
    surface: str,
    tolerance: int,
    names: str,
) -> Tensor:
    settings = (points, surface, tolerance, tuple(names.split(_SEPARATOR)))
    counts = readable_boundary_counts(logits, labels.long(), labels >= 0, *settings)
    sums = torch.stack(counts.tensors())
    (result,) = torch.autograd.grad(sums, logits, gradient, create_graph=True)
    return result


_boundary_sums.register_autograd(_differentiate, setup_context=_keep)
