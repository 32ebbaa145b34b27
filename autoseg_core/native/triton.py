"""Soft region counts by Triton kernels: the same numbers as ``surrogates.regions``, in one pass.

N: images; C: classes; P: pixels of an image; G: pieces of a curve.
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

from autoseg_core.native.tables import COLUMNS

MAX_CLASSES = 256
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class _Tiling:
    """Pixels of a tile, and warps of a program."""

    pixels: int
    warps: int


# By the power of two from C on. 512 entries of a tile for each warp, 16 a thread: with 32 the
# backward pass spills registers (ptxas for sm_90), with 8 its instructions an entry grow by half.
# Fixed, neither tuned nor read off the device: the tiling settles the order of the sums.
_TILINGS = {
    2: _Tiling(256, 1),
    4: _Tiling(128, 1),
    8: _Tiling(64, 1),
    16: _Tiling(32, 1),
    32: _Tiling(16, 1),
    64: _Tiling(16, 2),
    128: _Tiling(16, 4),
    256: _Tiling(8, 4),
}
MAX_WARPS = 8192
"""Warps of a launch, some four for each that a large GPU holds at once; bounds the partial sums."""


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
    return torch.cuda.get_device_capability(device) >= (7, 5)


def fits(logits: Tensor) -> bool:
    """Whether the kernels take these logits (N, C, ...), and run on their device."""
    few = 1 <= logits.shape[1] <= MAX_CLASSES
    return few and logits.dtype in DTYPES and available(logits.device)


def region_sums(
    logits: Tensor, labels: Tensor, and_table: Tensor, or_table: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return I and U' = U - T of the batch, each (C,) float32 (``surrogates.regions``).

    logits: (N, C, P) float32, bfloat16 or float16, any strides, C at most 256. labels: (N, P)
    int16 or int32, in [0, C), -1 at masked pixels, whose logits may be anything. Tables: (G, 8)
    float32 (``tables.curve_table``); without ``or_table`` U' is that of the identity curve. All on
    the same device. I_c is the sum of g_and(p_c) over pixels of class c, U'_c of g_or(p_c) over the
    other pixels.
    Raises ``ValueError`` for other shapes, dtypes or devices, and where ``available`` is false.
    """
    _check(logits, labels, and_table, or_table)
    rows = len(logits) * _programs(logits)
    partial = logits.new_empty((rows, 2, logits.shape[1]), dtype=torch.float32)
    curves = (and_table, or_table)
    _launch("sums_kernel", logits, labels, curves, (partial,), (logits, labels))
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
    """Gradient (N, C, P) in the logits, in their dtype, from dI and dU', each (C,) float32.

    The other arguments and errors are those of ``region_sums``. 0 at masked pixels, whatever their
    logits are. A curve has slope 0 at p = 0 and p = 1, its ends being exact (``bezier.value``).
    """
    _check(logits, labels, and_table, or_table)
    for name, given in (("dI", found_gradient), ("dU'", claimed_gradient)):
        _check_tensor(name, given, (logits.shape[1],), (torch.float32,), logits.device)
    gradient = torch.empty_like(logits)
    others = (torch.stack([found_gradient, claimed_gradient]), gradient)
    curves = (and_table, or_table)
    _launch("gradient_kernel", logits, labels, curves, others, (logits, labels, gradient))
    return gradient


def _block_classes(classes: int) -> int:
    return max(2, 1 << (classes - 1).bit_length())


def _programs(logits: Tensor) -> int:
    """Programs for each image; a rule of the shape alone."""
    images, classes, pixels = logits.shape
    tiling = _TILINGS[_block_classes(classes)]
    most = max(1, MAX_WARPS // tiling.warps // max(1, images))
    return min(-(-pixels // tiling.pixels), most)


def _launch(
    name: str,
    logits: Tensor,
    labels: Tensor,
    curves: tuple[Tensor, Tensor | None],
    others: tuple[Tensor, ...],
    strided: tuple[Tensor, ...],
) -> None:
    """Run a kernel of ``triton_kernels``, whose arguments come in this order; none for no pixels.

    curves: their tables. others: the tensors after them. strided: those that bring their strides.
    """
    from autoseg_core.native import triton_kernels  # imports Triton

    programs, block = _programs(logits), _block_classes(logits.shape[1])
    if len(logits) * programs == 0:
        return
    and_table, or_table = (None if table is None else table.contiguous() for table in curves)
    # A pointer is needed even where no piece of the curve is read.
    either = and_table if or_table is None else or_table
    strides = [stride for tensor in strided for stride in tensor.stride()]
    kernel: Any = getattr(triton_kernels, name)
    with torch.cuda.device_of(logits):  # Triton launches on the current device
        kernel[(len(logits) * programs,)](
            *(logits, labels, and_table, either, *others),
            *(*logits.shape[1:], programs, *strides),
            AND_PIECES=len(curves[0]),
            OR_PIECES=0 if or_table is None else len(or_table),
            BLOCK_C=block,
            BLOCK_P=_TILINGS[block].pixels,
            num_warps=_TILINGS[block].warps,
        )


def _check(logits: Tensor, labels: Tensor, and_table: Tensor, or_table: Tensor | None) -> None:
    device = logits.device
    if not available(device):
        raise ValueError(
            f"The Triton kernels need Triton and a CUDA GPU, got logits on {device}; move them "
            "there, or take backend='auto'."
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
            f"{classes}. Take backend='auto'."
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
