"""Fast forms of ``surrogates.regions``: logits -> sums of curves, keeping nothing but the logits.

N: images; C: classes; P: pixels of an image; h, w: rows and columns of logits yet to be upsampled.

One differentiable operation serves every metric: forward sums over pixels, backward takes the
gradients of the sums and recomputes the softmax. How it is computed is the backend's business:

- "reference": plain differentiable PyTorch (``surrogates.regions``), which the others must equal,
  and which also knows gradients in the control points;
- "fused": eager PyTorch, tile by tile, so that temporaries stay in cache;
- "compiled": the same tile through torch.compile, on CPUs with a C++ compiler;
- "triton": one read of the logits forward, one read and one write backward, on CUDA, for "softmax"
  and up to 256 classes;
- "auto": what ``choose`` says for the device and size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.autograd import forward_ad

from autoseg_core.numerics import working_dtype
from autoseg_core.surrogates.kernels import tiled, triton, upsampled

Backend = Literal["auto", "reference", "fused", "compiled", "triton"]
BACKENDS: tuple[str, ...] = get_args(Backend)

COMPILED_FROM = 1 << 20
"""Logits a batch from which compiling pays: below it, a tile's overhead is a good part of its time.

A rule of the shape alone, so that a run that is stopped and resumed computes the same numbers.
"""

_FIRST_DERIVATIVES_ONLY = (
    "The fast backends know first derivatives by backward alone; for forward mode, second "
    "derivatives and transforms of torch.func build the loss with backend='reference'."
)


def choose(logits: Tensor, activation: str = "softmax", size: Sequence[int] | None = None) -> str:
    """The backend that "auto" stands for; logits (N, C, ...), ``size``: see ``region_sums``."""
    if logits.dtype == torch.float64:
        return "fused"
    if logits.device.type != "cpu":
        fits = (
            activation == "softmax" and size is None and 1 <= logits.shape[1] <= triton.MAX_CLASSES
        )
        return "triton" if fits and triton.available(logits.device) else "fused"
    pixels = math.prod(logits.shape[2:] if size is None else size)
    large = logits.shape[0] * logits.shape[1] * pixels >= COMPILED_FROM
    return "compiled" if large and tiled.can_compile() else "fused"


def refuse_forward_mode(logits: Tensor) -> None:
    """RuntimeError for a dual tensor: torch would silently drop its tangent, as if it were 0."""
    if forward_ad.unpack_dual(logits).tangent is not None:
        raise RuntimeError(_FIRST_DERIVATIVES_ONLY)


def region_sums(
    logits: Tensor,
    labels: Tensor,
    and_table: Tensor,
    or_table: Tensor | None,
    activation: str,
    backend: str,
    size: Sequence[int] | None = None,
    align_corners: bool = False,
) -> Tensor:
    """Sums of curves over the batch's pixels, (2, C), differentiable in the logits.

    Row 0 sums g_and(p_c) over the pixels of class c, row 1 g_or(p_c) over the other pixels.
    logits: (N, C, P) of any float dtype; sums are float32, or float64 for float64. labels: integer,
    classes (N, P) under "softmax", 0 or 1 for each class (N, C, P) under "sigmoid", and -1 where
    nothing counts. Tables: ``tables.curve_table``; without ``or_table`` g_or is the identity.
    With ``size`` = (H, W) logits are (N, C, h, w) and upsampled on the way to P = H * W pixels
    (``upsampled``), which are never in memory.
    Raises ``RuntimeError`` in forward mode (``torch.func.jvp``) and for second derivatives.
    """
    refuse_forward_mode(logits)
    sums: Tensor = torch.ops.autoseg.region_sums(
        logits, labels, and_table, or_table, activation, backend, size, align_corners
    )
    return sums


@torch.library.custom_op("autoseg::region_sums", mutates_args=())
def _region_sums(
    logits: Tensor,
    labels: Tensor,
    and_table: Tensor,
    or_table: Tensor | None,
    activation: str,
    backend: str,
    size: Sequence[int] | None = None,
    align_corners: bool = False,
) -> Tensor:
    chosen = _resolved(logits, activation, backend, size)
    if chosen == "triton":
        return torch.stack(triton.region_sums(logits, labels, and_table, or_table))
    source = _source(logits, labels, size, align_corners)
    return tiled.forward(source, and_table, or_table, activation, chosen == "compiled")


@torch.library.custom_op("autoseg::region_sums_backward", mutates_args=())
def _region_sums_backward(
    logits: Tensor,
    labels: Tensor,
    and_table: Tensor,
    or_table: Tensor | None,
    gradient: Tensor,
    activation: str,
    backend: str,
    size: Sequence[int] | None = None,
    align_corners: bool = False,
) -> Tensor:
    chosen = _resolved(logits, activation, backend, size)
    if chosen == "triton":
        sums = gradient.unbind()
        return triton.region_sums_backward(logits, labels, and_table, or_table, *sums)
    source = _source(logits, labels, size, align_corners)
    return tiled.backward(source, and_table, or_table, gradient, activation, chosen == "compiled")


def _resolved(logits: Tensor, activation: str, backend: str, size: Sequence[int] | None) -> str:
    # Here, inside the operation: torch.compile of a training step cannot trace the choice, which
    # looks for a compiler on the disk.
    if backend == "auto":
        return choose(logits, activation, size)
    if backend == "triton" and activation != "softmax":
        raise ValueError(f"The Triton kernels are for activation 'softmax', got {activation!r}.")
    if backend == "triton" and size is not None:
        raise ValueError(
            "The Triton kernels do not upsample: take backend='auto' or 'fused' with upsample, or "
            f"interpolate the logits to {tuple(size)} before the loss."
        )
    return backend


def _source(
    logits: Tensor, labels: Tensor, size: Sequence[int] | None, align_corners: bool
) -> tiled.Source:
    if size is None:
        return tiled.Pixels(logits, labels)
    return upsampled.Bands(logits, labels, size, align_corners)


@_region_sums.register_fake
def _(
    logits: Tensor,
    labels: Tensor,
    and_table: Tensor,
    or_table: Tensor | None,
    activation: str,
    backend: str,
    size: Sequence[int] | None = None,
    align_corners: bool = False,
) -> Tensor:
    return logits.new_empty(2, logits.shape[1], dtype=working_dtype(logits.dtype))


@_region_sums_backward.register_fake
def _(logits: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(logits)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    logits, labels, and_table, or_table, *ctx.options = inputs
    ctx.save_for_backward(logits, labels, and_table, or_table)


def _differentiate(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    operation = torch.ops.autoseg.region_sums_backward
    return (operation(*ctx.saved_tensors, gradient, *ctx.options), *[None] * 7)


_region_sums.register_autograd(_differentiate, setup_context=_keep)


def _refuse(ctx: Any, *gradients: Tensor) -> None:
    raise RuntimeError(_FIRST_DERIVATIVES_ONLY)


_region_sums_backward.register_autograd(_refuse)
