"""Soft region sums in tiles that stay in cache; only the gradient is as large as the logits.

N: images; C: classes; P: pixels of an image. The arithmetic is that of ``tile``, as it stands
("fused") or compiled ("compiled"). Sums of tiles add up in float64. Where tiles come from is a
``Source``: ``Pixels``, logits as they stand, or ``upsampled.Bands``.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, Protocol

import torch
from torch import Tensor

from autoseg_core.numerics import working_dtype
from autoseg_core.surrogates.kernels import tile
from autoseg_core.surrogates.kernels.tables import curve_table

TILE = 1 << 18
"""Numbers in a tile: a megabyte of float32, about what a core's second cache holds."""

_logger = logging.getLogger(__name__)


class Source(Protocol):
    """Where tiles come from, and where their gradients go."""

    logits: Tensor  # (N, C, ...) of any float dtype and strides

    def tiles(self) -> Iterator[tuple[int, slice, Tensor, Tensor]]:
        """Image, part of it, and its logits and labels as ``tile`` wants them; contiguous."""

    def room(self) -> Tensor:
        """Where the gradient in the logits will stand."""

    def put(self, out: Tensor, image: int, part: slice, gradient: Tensor) -> None:
        """Bring the gradient in a tile to its place in ``out``."""


def forward(
    source: Source, and_table: Tensor, or_table: Tensor | None, activation: str, compiled: bool
) -> Tensor:
    """The two sums of ``tile`` over the batch, (2, C). Tables: see ``tile``."""
    run, logits = _ready(tile.FORWARD[activation], compiled, and_table, or_table), source.logits
    sums = torch.zeros(2, logits.shape[1], dtype=torch.float64, device=logits.device)
    for _, _, x, y in source.tiles():
        sums += torch.stack(run(x, y, and_table, or_table))
    return sums.to(working_dtype(logits.dtype))


def backward(
    source: Source,
    and_table: Tensor,
    or_table: Tensor | None,
    gradient: Tensor,
    activation: str,
    compiled: bool,
) -> Tensor:
    """Gradient in the logits, of their shape and dtype, from that of ``forward``'s sums (2, C)."""
    run, out = _ready(tile.BACKWARD[activation], compiled, and_table, or_table), source.room()
    for image, part, x, y in source.tiles():
        source.put(out, image, part, run(x, y, and_table, or_table, *gradient.unbind()))
    return out.to(source.logits.dtype)


class Pixels:
    """The source of tiles for logits as they stand.

    logits: (N, C, P) of any float dtype and strides. labels: (N, P), or (N, C, P) under "sigmoid",
    integer, -1 where nothing counts; what stands in the logits there, NaN included, changes
    nothing.
    """

    def __init__(self, logits: Tensor, labels: Tensor) -> None:
        self.logits, self.labels = logits, labels

    def tiles(self) -> Iterator[tuple[int, slice, Tensor, Tensor]]:
        images, classes, pixels = self.logits.shape
        # An accelerator has no such cache, and launching a kernel costs it more than its memory.
        length = max(1024, TILE // classes) if self.logits.device.type == "cpu" else pixels
        dtype = working_dtype(self.logits.dtype)
        for image in range(images):
            for start in range(0, pixels, max(1, length)):
                part = slice(start, min(start + length, pixels))
                y = self.labels[image, ..., part].int()
                # A tensor of its own, whatever the logits' strides and dtype: compiled tiles are
                # compiled once more for every kind of view.
                shape = (classes, part.stop - part.start)
                x = torch.empty(shape, dtype=dtype, device=y.device)
                yield image, part, x.copy_(self.logits[image, :, part]), y

    def room(self) -> Tensor:
        return torch.empty_like(self.logits)

    def put(self, out: Tensor, image: int, part: slice, gradient: Tensor) -> None:
        out[image, :, part] = gradient


def _ready(
    function: Callable[..., Any], compiled: bool, and_table: Tensor, or_table: Tensor | None
) -> Callable[..., Any]:
    if not compiled:
        return function
    return _compiled(function, len(and_table), 0 if or_table is None else len(or_table))


@functools.cache
def _compiled(function: Callable[..., Any], *pieces: int) -> Callable[..., Any]:
    """``function`` compiled for curves of so many pieces."""
    # torch.compile makes at most eight variants of one code object, and runs the ninth eagerly:
    # each number of pieces gets a code object of its own.
    name = "_".join([function.__name__, *map(str, pieces)])
    code = function.__code__.replace(co_name=name)
    return torch.compile(FunctionType(code, function.__globals__, name), dynamic=True)


@functools.cache
def can_compile() -> bool:
    """Whether compiling works here, tried once on a small tile; says in the log if it does not."""
    line = torch.linspace(0, 1, 5)
    table = curve_table("bezier", torch.stack([line, line], dim=1), torch.float32)
    logits, labels = torch.zeros(3, 16), torch.zeros(16, dtype=torch.int32)
    try:
        _ready(tile.softmax_forward, True, table, table)(logits, labels, table, table)
    except Exception as error:  # torch has many: no compiler, a broken one, no headers
        _logger.warning(
            "torch.compile does not work here (is there a C++ compiler, g++ or $CXX, and Python's "
            "headers?): losses run in the backend 'fused', several times slower than 'compiled'. "
            "%s: %s",
            type(error).__name__,
            str(error).strip().partition("\n")[0],
        )
        return False
    return True
