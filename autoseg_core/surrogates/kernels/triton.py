"""Soft region counts by Triton kernels: the same numbers as ``surrogates.regions``, in one pass.

N: images; C: classes; P: pixels of an image; K: control points of a curve; G: its pieces.
Forward reads the logits once and keeps nothing; backward reads them once and writes their gradient.
Sums are taken program by program and then in order, without atomics: equal runs are equal.
Triton itself is imported at the first use, so that this module may be imported where there is none.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from autoseg_core.numerics import tiny

MAX_CLASSES = 256
COLUMNS = 8
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class _Tiling:
    """Pixels of a tile, warps of a program, and the most programs of a launch."""

    pixels: int
    warps: int
    programs: int


# By the power of two from C on. 1024 entries of a tile for each warp: 32 registers a thread for
# each tile that is alive, and at least 32 neighbouring pixels for each class, a line of float32.
# Fixed numbers, neither tuned nor read off the device: they settle the order of the sums.
_TILINGS = {
    2: _Tiling(512, 1, 8192),
    4: _Tiling(256, 1, 8192),
    8: _Tiling(128, 1, 8192),
    16: _Tiling(64, 1, 8192),
    32: _Tiling(32, 1, 8192),
    64: _Tiling(32, 2, 4096),
    128: _Tiling(32, 4, 2048),
    256: _Tiling(32, 8, 1024),
}


def available(device: torch.device | str = "cuda") -> bool:
    """Whether the kernels run on tensors of ``device``: Triton and a GPU that it compiles for.

    With TRITON_INTERPRET=1 in the environment they run anywhere, slowly.
    """
    if find_spec("triton") is None:
        return False
    if os.environ.get("TRITON_INTERPRET") == "1":
        return True
    if torch.device(device).type != "cuda" or not torch.cuda.is_available():
        return False
    return torch.cuda.get_device_capability(device) >= (7, 0)


def bezier_table(points: Tensor) -> Tensor:
    """Coefficients (G, 8) float32 of a piecewise Bezier curve with points (K, 2), ends included.

    Row k, with t the parameter of piece k: its start u0, 1 / width, a and 1 - a (``bezier.value``),
    the polynomial v0 + v1 t + v2 t^2 of its height, and its height at t = 1.
    """
    rounded = points.detach().float().double()  # joints where the float32 reference has them
    return _table(rounded[0:-2:2], rounded[1:-1:2], rounded[2::2])


def linear_table(points: Tensor) -> Tensor:
    """The same for straight pieces between points (K, 2): a = 1/2 makes t = s."""
    rounded = points.detach().float().double()
    return _table(rounded[:-1], (rounded[:-1] + rounded[1:]) / 2, rounded[1:])


TABLES = {"bezier": bezier_table, "linear": linear_table}  # by the names of surfaces.SURFACES


def _table(first: Tensor, middle: Tensor, last: Tensor) -> Tensor:
    (u0, v0), (u1, v1), (u2, v2) = first.unbind(1), middle.unbind(1), last.unbind(1)
    # A piece of width zero is met only at its own joint; any positive width keeps it finite there.
    positive = (u2 - u0) > tiny(torch.float32)
    width = torch.where(positive, u2 - u0, torch.ones_like(u0))
    a = torch.where(positive, (u1 - u0) / width, torch.full_like(u0, 0.5))
    columns = [u0, 1 / width, a, 1 - a, v0, 2 * (v1 - v0), v0 - 2 * v1 + v2, v2]
    return torch.stack(columns, dim=1).float()


def region_sums(
    logits: Tensor, labels: Tensor, and_table: Tensor, or_table: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return I and U' = U - T, each (C,) float32 (``surrogates.regions``, ASL sec. 3).

    logits: (N, C, P) float32, bfloat16 or float16, any strides, C at most 256. labels: (N, P)
    int16 or int32, in [0, C), -1 at masked pixels, whose logits may be anything. Tables: (G, 8)
    float32; without ``or_table`` U' is that of the identity curve. Same device for all.
    I_c is the sum of g_and(p_c) over pixels of class c, U'_c of g_or(p_c) over the other pixels.
    Raises ``ValueError`` for other shapes, dtypes or devices, and where ``available`` is false.
    """
    _check(logits, labels, and_table, or_table)
    tiling, tiles = _tiles(logits)
    programs = min(tiles, tiling.programs)
    partial = logits.new_empty((programs, 2, logits.shape[1]), dtype=torch.float32)
    tensors = (logits, labels, and_table, _or_any(or_table, and_table), partial)
    _launch("sums_kernel", tensors, (logits, labels), _pieces(and_table, or_table))
    found, claimed = partial.sum(dim=0).unbind(0)
    return found, claimed


def region_sums_backward(
    logits: Tensor,
    labels: Tensor,
    and_table: Tensor,
    or_table: Tensor | None,
    found_gradient: Tensor,
    claimed_gradient: Tensor,
) -> Tensor:
    """Gradient (N, C, P) in the logits, in their dtype; from dI and dU', each (C,) float32.

    The other arguments and errors are those of ``region_sums``. 0 at masked pixels, whatever their
    logits are. A curve does not rise at p = 0 and p = 1, its ends being exact (``bezier.value``).
    """
    _check(logits, labels, and_table, or_table)
    for name, given in (("dI", found_gradient), ("dU'", claimed_gradient)):
        _check_tensor(name, given, (logits.shape[1],), (torch.float32,), logits.device)
    gradient = torch.empty_like(logits)
    tables = (and_table, _or_any(or_table, and_table))
    upstream = (found_gradient.contiguous(), claimed_gradient.contiguous())
    tensors = (logits, labels, *tables, *upstream, gradient)
    strided = (logits, labels, gradient)
    _launch("gradient_kernel", tensors, strided, _pieces(and_table, or_table))
    return gradient


def _or_any(or_table: Tensor | None, and_table: Tensor) -> Tensor:
    """A pointer is needed even where no piece of the curve is read."""
    return and_table if or_table is None else or_table


def _pieces(and_table: Tensor, or_table: Tensor | None) -> dict[str, int]:
    return {
        "AND_PIECES": len(and_table),
        "OR_PIECES": 0 if or_table is None else len(or_table),
    }


def _block_classes(classes: int) -> int:
    return max(2, 1 << (classes - 1).bit_length())


def _tiles(logits: Tensor) -> tuple[_Tiling, int]:
    """How to cut the logits, and into how many tiles; a tile does not cross images."""
    images, classes, pixels = logits.shape
    tiling = _TILINGS[_block_classes(classes)]
    return tiling, images * -(-pixels // tiling.pixels)


def _launch(
    name: str, tensors: tuple[Tensor, ...], strided: tuple[Tensor, ...], pieces: dict[str, int]
) -> None:
    """Run a kernel over the tiles of the first tensor; nothing to do without pixels."""
    from autoseg_core.surrogates.kernels import triton_kernels  # imports Triton

    logits = tensors[0]
    tiling, tiles = _tiles(logits)
    if tiles == 0:
        return
    kernel: Any = getattr(triton_kernels, name)
    strides = [stride for tensor in strided for stride in tensor.stride()]
    with torch.cuda.device_of(logits):  # Triton launches on the current device
        kernel[(min(tiles, tiling.programs),)](
            *tensors,
            *logits.shape[1:],
            tiles,
            *strides,
            **pieces,
            BLOCK_C=_block_classes(logits.shape[1]),
            BLOCK_P=tiling.pixels,
            num_warps=tiling.warps,
        )


def _check(logits: Tensor, labels: Tensor, and_table: Tensor, or_table: Tensor | None) -> None:
    device = logits.device
    if not available(device):
        raise ValueError(
            f"The Triton kernels need Triton and a CUDA GPU, got logits on {device}; move them "
            "there, or use the reference in surrogates.regions."
        )
    if logits.ndim != 3 or logits.dtype not in DTYPES:
        raise ValueError(
            "Expected logits of shape (N, C, P) in float32, bfloat16 or float16, got "
            f"{tuple(logits.shape)} and {logits.dtype}; images are flattened by logits.flatten(2)."
        )
    images, classes, pixels = logits.shape
    if not 1 <= classes <= MAX_CLASSES:
        raise ValueError(
            f"The Triton kernels hold all classes of a pixel at once, at most {MAX_CLASSES}; got "
            f"{classes}. Use the reference in surrogates.regions."
        )
    _check_tensor("labels", labels, (images, pixels), (torch.int16, torch.int32), device)
    for name, table in (("and_table", and_table), ("or_table", or_table)):
        if table is not None:
            _check_tensor(name, table, (len(table), COLUMNS), (torch.float32,), device)


def _check_tensor(
    name: str,
    tensor: Tensor,
    shape: tuple[int, ...],
    dtypes: tuple[torch.dtype, ...],
    device: torch.device,
) -> None:
    if tensor.shape != shape or tensor.dtype not in dtypes or tensor.device != device:
        wanted = " or ".join(str(dtype) for dtype in dtypes)
        raise ValueError(
            f"Expected {name} of shape {shape} in {wanted} on {device}, got {tuple(tensor.shape)} "
            f"in {tensor.dtype} on {tensor.device}."
        )
