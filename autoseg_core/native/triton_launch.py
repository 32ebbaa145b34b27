"""Launching the Triton kernels: their arguments, tiles and programs.

N: images; C: classes; R, Q: rows and columns of pixels; h, w: of logits yet to be upsampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Map(NamedTuple):
    """A tensor and its strides, as a kernel takes them."""

    pointer: Tensor
    strides: tuple[int, ...]


class Problem(NamedTuple):
    """The inputs of both kernels.

    logits: (N, C, R, Q) or (N, C, h, w). target: (N, R, Q), or (N, C, R, Q) where classes do not
    exclude each other; four strides, that of C is 0 in the former case. tables: of g_and, and of
    g_or or None (the identity). places: None, or ``places`` of rows and of columns. shape: C, R, Q,
    h, w. ignore: the void label. rectangles, programs: of each image.
    """

    logits: Map
    target: Map
    tables: tuple[Tensor, Tensor | None]
    places: tuple[Tensor, ...] | None
    shape: tuple[int, ...]
    ignore: int
    rectangles: int
    programs: int


@dataclass(frozen=True)
class _Tiling:
    """Pixels of a tile, and warps of a program."""

    pixels: int
    warps: int


# By the power of two from C on. 512 entries of a tile for each warp, 16 per thread: with 32 the
# backward pass spills registers (ptxas for sm_90), with 8 its instructions per entry grow by half.
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


# Not cached: another stream or CUDA graph must not use the tensors of this one.
def places(inputs: int, outputs: int, align_corners: bool, device: Any) -> tuple[Tensor, Tensor]:
    """Between which inputs the outputs of a bilinear upsampling lie, as ``F.interpolate`` has them.

    Returns the first output from input i on, (inputs + 1,) int32; and of each output the weight of
    the next input, (outputs,) float32, 0 of those after the last input.
    """
    place = torch.arange(outputs, dtype=torch.float64, device=device)
    if align_corners:
        place = place * ((inputs - 1) / max(1, outputs - 1))
    else:
        place = ((place + 0.5) * (inputs / outputs) - 0.5).clamp(min=0)
    first = place.floor().clamp(max=inputs - 1)
    weight = torch.where(first < inputs - 1, place - first, 0.0)
    bounds = torch.arange(inputs + 1, dtype=torch.float64, device=device)
    return torch.searchsorted(first, bounds).int(), weight.float()


class Job(NamedTuple):
    """Arguments as both kernels take them, and how they are run.

    programs: of all images. flat: all pixels of an image are one row. options: the kernels'
    constants, and their warps.
    """

    problem: Problem
    programs: int
    flat: bool
    options: dict[str, Any]

    def launch(self, name: str, *others: Any) -> None:
        """Run a kernel with its own arguments ``others``; does nothing without pixels."""
        from autoseg_core.native import triton_kernels  # imports Triton

        kernel: Any = getattr(triton_kernels, name)
        if self.programs:
            # Triton launches on the current device.
            with torch.cuda.device_of(self.problem.logits.pointer):
                kernel[(self.programs,)](self.problem, *others, **self.options)


def make_job(
    logits: Tensor, target: Tensor, tables: Sequence[Tensor], ignore_index: int, align_corners: bool
) -> Job:
    """The arguments of ``autoseg::region_sums``, for the kernels."""
    classes = logits.shape[1]
    block = max(2, 1 << (classes - 1).bit_length())
    tiling, between = _TILINGS[block], None
    pixels = tiling.pixels
    if logits.shape[2:] != target.shape[-2:]:
        sides = list(zip(logits.shape[2:], target.shape[-2:], strict=True))
        between = tuple(x for n, m in sides for x in places(n, m, align_corners, logits.device))
        # Not more pixels in a tile than a rectangle has.
        pixels = min(pixels, 1 << (prod(-(-m // n) for n, m in sides) - 1).bit_length())
    like = torch.empty_like(logits, device="meta")  # whose strides its gradient has
    flat = between is None and all(map(_rows_follow, (logits, target, like)))
    if flat:
        logits, target = one_row(logits), one_row(target)
    rows, columns = logits.shape[2:]
    rectangles = rows * (columns if between is not None else -(-columns // pixels))
    most = MAX_WARPS // tiling.warps // max(1, len(logits))  # a rule of the shape alone
    programs = min(rectangles, max(1, most))
    strides = target.stride()
    used = [table.float().contiguous() for table in tables]
    problem = Problem(
        logits=Map(logits, logits.stride()),
        target=Map(target, strides if target.ndim == 4 else (strides[0], 0, *strides[1:])),
        tables=(used[0], used[1] if len(used) == 2 else None),
        places=between,
        shape=(classes, *target.shape[-2:], rows, columns),
        ignore=ignore_index,
        rectangles=rectangles,
        programs=programs,
    )
    options = {"SIGMOID": target.ndim == 4, "PIECES": len(used[0]), "BLOCK_C": block}
    options |= {"BLOCK_P": pixels, "num_warps": tiling.warps}
    return Job(problem, len(logits) * programs, flat, options)


def _rows_follow(x: Tensor) -> bool:
    return x.shape[-2] == 1 or x.stride(-2) == x.shape[-1] * x.stride(-1)


def one_row(x: Tensor) -> Tensor:
    """A view of (..., R, Q) whose rows follow each other as (..., 1, R Q)."""
    return x.flatten(-2).unsqueeze(-2)
