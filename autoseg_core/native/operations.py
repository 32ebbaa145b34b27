"""What the kernels compute: schemas, shapes and first derivatives.

N: images; C: classes; H, W: pixels; h, w: logits yet to be upsampled; P: pieces of a curve.

Common arguments. logits: (N, C, H, W) of any float dtype and strides; sums are float32, or float64
for float64. target: (N, H, W) integers of any width, read as they are: classes in [0, C) or
``ignore_index``, other labels raise ``ValueError`` on a CPU. tables: of each curve, (P, 8)
(``tables.curve_tables``), on the logits' device. void_edges: void is a neighbour like any other.

region_sums: (4, C) = sums of g_and(p_c) over pixels of class c and of g_or(p_c) over the others,
pixels of class c, all pixels that count. g_or is the identity where ``tables`` holds one table.
With a target (N, C, H, W) of 0 and 1, classes are not mutually exclusive. Logits (N, C, h, w) that
are smaller than the target are upsampled on the fly, bilinearly; ``align_corners`` sets how.
boundary_sums: (4, C), the fields of ``BoundaryCounts``; four curves of XOR, or one.
band_sums: as region_sums, on bands ``radius`` pixels wide. border: the image border is an edge.
trimap: the target, (N, H, W), C at void and further than ``tolerance`` pixels from its edges; those
of class 0 make none under ``drop_background``.
label_counts: (10, C) int64 of two label maps: target, intersection, union; the same on the trimap;
edges of the target, those near the prediction's, edges of the prediction, those near the target's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from autoseg_core.numerics import working_dtype

_FIRST_DERIVATIVES_ONLY = (
    "The kernels know first derivatives by backward alone; for forward mode, second derivatives "
    "and transforms of torch.func build the loss with backend='reference'."
)

# Arguments after the common ones.
_SUMS = {
    "region_sums": "bool align_corners",
    "boundary_sums": "bool void_edges, int tolerance",
    "band_sums": "bool void_edges, int radius, bool border",
}
_INPUTS = "Tensor logits, Tensor target, Tensor[] tables, int ignore_index"

torch.library.define(
    "autoseg::label_counts",
    "(Tensor guess, Tensor truth, int classes, int ignore_index, int tolerance, bool void_edges, "
    "bool drop_background, bool trimap, bool boundary) -> Tensor",
)
torch.library.define(
    "autoseg::trimap",
    "(Tensor target, int classes, int ignore_index, int tolerance, bool drop_background, "
    "bool void_edges) -> Tensor",
)


def _trimap_like(target: Tensor, classes: int, *_: Any) -> Tensor:
    # Also holds a label outside the classes.
    small = torch.uint8 if classes <= torch.iinfo(torch.uint8).max - 2 else torch.int16
    return target.new_empty(target.shape, dtype=small)


torch.library.register_fake("autoseg::trimap", _trimap_like)


def _sums_like(logits: Tensor, *_: Any) -> Tensor:
    return logits.new_empty(4, logits.shape[1], dtype=working_dtype(logits.dtype))


def _gradient_like(gradient: Tensor, logits: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(logits)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    logits, target, ctx.tables, *ctx.options = inputs
    ctx.save_for_backward(logits, target)


def _refuse(ctx: Any, *gradients: Tensor) -> None:
    raise RuntimeError(_FIRST_DERIVATIVES_ONLY)


def _define(name: str, options: str) -> None:
    backward_name = f"autoseg::{name}_backward"
    torch.library.define(f"autoseg::{name}", f"({_INPUTS}, {options}) -> Tensor")
    torch.library.define(backward_name, f"(Tensor gradient, {_INPUTS}, {options}) -> Tensor")
    torch.library.register_fake(f"autoseg::{name}", _sums_like)
    torch.library.register_fake(backward_name, _gradient_like)
    operation = getattr(torch.ops.autoseg, f"{name}_backward")

    def differentiate(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        result = operation(gradient, *ctx.saved_tensors, ctx.tables, *ctx.options)
        return result, None, [None] * len(ctx.tables), *[None] * len(ctx.options)

    torch.library.register_autograd(f"autoseg::{name}", differentiate, setup_context=_keep)
    torch.library.register_autograd(backward_name, _refuse)


for _name, _options in _SUMS.items():
    _define(_name, _options)


def refuse_forward_mode(logits: Tensor) -> None:
    """RuntimeError for a dual tensor: torch would silently drop its tangent, as if it were 0."""
    if forward_ad.unpack_dual(logits).tangent is not None:
        raise RuntimeError(_FIRST_DERIVATIVES_ONLY)
