"""Soft region counts by Triton kernels: ``autoseg::region_sums`` and its backward on CUDA.

N: images; C: classes; R, Q: rows and columns of pixels; h, w: of logits yet to be upsampled;
P: pieces of a curve. ``operations`` says what arguments are.
Forward reads the logits once and keeps nothing; backward reads them once and writes their gradient.
Sums are taken program by program and then in order, without atomics: equal runs are equal.
Triton itself is imported at the first use, so that this module may be imported where there is none.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from autoseg_core.metrics.boundaries import near_boundary

MAX_CLASSES = 256
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


class Map(NamedTuple):
    """A tensor and its strides, as a kernel takes them."""

    pointer: Tensor
    strides: tuple[int, ...]


class Problem(NamedTuple):
    """What both kernels are given.

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


def available(device: torch.device | str = "cuda") -> bool:
    """Whether the kernels run on tensors of ``device``: Triton and a GPU that it compiles for."""
    if find_spec("triton") is None or torch.device(device).type != "cuda":
        return False
    return torch.cuda.is_available() and torch.cuda.get_device_capability(device) >= (7, 5)


def fits(logits: Tensor) -> bool:
    """Whether the kernels take these logits (N, C, ...), and run on their device."""
    few = 1 <= logits.shape[1] <= MAX_CLASSES
    return few and logits.dtype in DTYPES and available(logits.device)


def region_sums(logits: Tensor, target: Tensor, tables: Sequence[Tensor], *options: Any) -> Tensor:
    """``autoseg::region_sums``, (4, C) float32; labels outside the classes fail an assertion."""
    job = _Job.of(logits, target, tables, *options)
    partial = logits.new_empty(
        (len(logits) * job.programs, 5, logits.shape[1]), dtype=torch.float32
    )
    job.launch("sums_kernel", partial)
    sums = partial.sum(dim=0, dtype=torch.float64)  # float32 cannot count past 16 million
    torch._assert_async(sums[4, 0] == 0, "A target label lies outside the classes.")
    return sums[:4].float()


def region_sums_backward(
    gradient: Tensor, logits: Tensor, target: Tensor, tables: Sequence[Tensor], *options: Any
) -> Tensor:
    """``autoseg::region_sums_backward``: 0 at masked pixels, whatever their logits are.

    A curve has slope 0 at p = 0 and p = 1, its ends being exact (``bezier.value``).
    """
    job = _Job.of(logits, target, tables, *options)
    upstream, result = gradient.float().contiguous(), torch.empty_like(logits)
    if job.places is None:
        out = _one_row(result) if job.flat else result
        job.launch("gradient_kernel", upstream, Map(out, out.stride()))
        return result
    images, classes, height, width = logits.shape
    # What the logits above and below, left and right of each cell get from its pixels.
    shares = logits.new_empty((2, 2, images, height, width, classes), dtype=torch.float32)
    strides = (shares.stride(2), shares.stride(5), shares.stride(4), shares.stride(1))
    job.launch("gradient_kernel", upstream, Map(shares, strides))
    rows = shares[0]
    rows[:, :, 1:] += shares[1, :, :, :-1]
    columns = rows[0]
    columns[:, :, 1:] += rows[1, :, :, :-1]
    return result.copy_(columns.movedim(-1, 1))


@functools.lru_cache(maxsize=64)
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


@dataclass(frozen=True)
class _Job:
    """Arguments as both kernels take them; ``triton_kernels``."""

    logits: Tensor
    target: Tensor
    tables: Sequence[Tensor]
    places: tuple[Tensor, ...] | None
    ignore: int
    flat: bool  # all pixels of an image are one row

    @staticmethod
    def of(
        logits: Tensor,
        target: Tensor,
        tables: Sequence[Tensor],
        ignore_index: int,
        align_corners: bool,
    ) -> _Job:
        between: tuple[Tensor, ...] | None = None
        if logits.shape[2:] != target.shape[-2:]:
            sides = zip(logits.shape[2:], target.shape[-2:], strict=True)
            between = tuple(x for n, m in sides for x in places(n, m, align_corners, logits.device))
        used = [table.float().contiguous() for table in tables]
        like = torch.empty_like(logits, device="meta")  # whose strides its gradient has
        flat = between is None and all(map(_rows_follow, (logits, target, like)))
        if flat:
            logits, target = _one_row(logits), _one_row(target)
        return _Job(logits, target, used, between, ignore_index, flat)

    @property
    def block(self) -> int:
        """Classes of a tile."""
        return max(2, 1 << (self.logits.shape[1] - 1).bit_length())

    @property
    def pixels(self) -> int:
        """Pixels of a tile: of logits yet to be upsampled, not more than a rectangle has."""
        most = _TILINGS[self.block].pixels
        if self.places is None:
            return most
        sides = zip(self.target.shape[-2:], self.logits.shape[2:], strict=True)
        return min(most, 1 << (prod(-(-n // m) for n, m in sides) - 1).bit_length())

    @property
    def rectangles(self) -> int:
        """Of each image."""
        rows, columns = self.logits.shape[2:]
        return rows * (columns if self.places is not None else -(-columns // self.pixels))

    @property
    def programs(self) -> int:
        """Programs for each image; a rule of the shape alone."""
        most = MAX_WARPS // _TILINGS[self.block].warps // max(1, len(self.logits))
        return min(self.rectangles, max(1, most))

    @property
    def problem(self) -> Problem:
        """As the kernels take it."""
        strides = self.target.stride()
        if self.target.ndim == 3:
            strides = (strides[0], 0, *strides[1:])
        return Problem(
            logits=Map(self.logits, self.logits.stride()),
            target=Map(self.target, strides),
            tables=(self.tables[0], self.tables[1] if len(self.tables) == 2 else None),
            places=self.places,
            shape=(self.logits.shape[1], *self.target.shape[-2:], *self.logits.shape[2:]),
            ignore=self.ignore,
            rectangles=self.rectangles,
            programs=self.programs,
        )

    def launch(self, name: str, *others: Any) -> None:
        """Run a kernel, whose own arguments are ``others``; none for no pixels."""
        from autoseg_core.native import triton_kernels  # imports Triton

        kernel: Any = getattr(triton_kernels, name)
        count = len(self.logits) * self.programs
        if count == 0:
            return
        with torch.cuda.device_of(self.logits):  # Triton launches on the current device
            kernel[(count,)](
                self.problem,
                *others,
                SIGMOID=self.target.ndim == 4,
                PIECES=len(self.tables[0]),
                BLOCK_C=self.block,
                BLOCK_P=self.pixels,
                num_warps=_TILINGS[self.block].warps,
            )


def _rows_follow(x: Tensor) -> bool:
    return x.shape[-2] == 1 or x.stride(-2) == x.shape[-1] * x.stride(-1)


def _one_row(x: Tensor) -> Tensor:
    """A view of (..., R, Q) whose rows follow each other as (..., 1, R Q)."""
    return x.flatten(-2).unsqueeze(-2)


def trimap(
    target: Tensor,
    classes: int,
    ignore_index: int,
    tolerance: int,
    drop_background: bool,
    void_edges: bool,
) -> Tensor:
    """``autoseg::trimap``; labels outside the classes become C + 1, which is none either."""
    valid = target != ignore_index
    labels = torch.where(valid, target.long(), classes)
    seen = torch.ones_like(valid) if void_edges else valid
    near = near_boundary(labels, seen, classes, tolerance, drop_background)
    outside = (labels < 0) | (labels > classes)
    kept = torch.where(near, labels, classes).masked_fill(outside, classes + 1)
    return kept.to(torch.uint8 if classes <= torch.iinfo(torch.uint8).max - 2 else torch.int16)


torch.library.impl("autoseg::trimap", "cuda")(trimap)
torch.library.impl("autoseg::region_sums", "cuda")(region_sums)
torch.library.impl("autoseg::region_sums_backward", "cuda")(region_sums_backward)
