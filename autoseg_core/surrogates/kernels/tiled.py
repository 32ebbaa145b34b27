"""Soft region sums in tiles that stay in cache; only the gradient is as large as the logits.

N: images; C: classes; P: pixels of an image. The arithmetic is that of ``tile``, as it stands
("fused") or compiled ("compiled"). Sums of tiles add up in float64.
"""

from __future__ import annotations

import functools
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from autoseg_core.numerics import working_dtype
from autoseg_core.surrogates.kernels import tile

TILE = 1 << 17
"""Numbers in a tile: half a megabyte of float32, about what a core's second cache holds."""

_logger = logging.getLogger(__name__)


def forward(
    logits: Tensor,
    labels: Tensor,
    and_table: Tensor,
    or_table: Tensor | None,
    activation: str,
    compiled: bool,
) -> Tensor:
    """The two sums of ``tile`` over the batch, (2, C).

    logits: (N, C, P) of any float dtype and strides. labels: (N, P), or (N, C, P) under "sigmoid",
    integer, -1 where nothing counts; what stands in the logits there, NaN included, changes
    nothing. Tables: see ``tile``.
    """
    run = _ready(tile.FORWARD[activation], compiled)
    sums = torch.zeros(2, logits.shape[1], dtype=torch.float64, device=logits.device)
    for _, _, x, y in _tiles(logits, labels):
        sums += torch.stack(run(x, y, and_table, or_table))
    return sums.to(working_dtype(logits.dtype))


def backward(
    logits: Tensor,
    labels: Tensor,
    and_table: Tensor,
    or_table: Tensor | None,
    gradient: Tensor,
    activation: str,
    compiled: bool,
) -> Tensor:
    """Gradient in the logits, (N, C, P), from that of ``forward``'s sums (2, C)."""
    run = _ready(tile.BACKWARD[activation], compiled)
    out = torch.empty_like(logits)
    for image, pixels, x, y in _tiles(logits, labels):
        out[image, :, pixels] = run(x, y, and_table, or_table, *gradient.unbind())
    return out


def _tiles(logits: Tensor, labels: Tensor) -> Iterator[tuple[int, slice, Tensor, Tensor]]:
    """Image, pixels, and their logits and labels as ``tile`` wants them; contiguous copies."""
    images, classes, pixels = logits.shape
    # An accelerator has no such cache, and launching a kernel costs it more than its memory.
    length = max(1024, TILE // classes) if logits.device.type == "cpu" else pixels
    dtype = working_dtype(logits.dtype)
    for image in range(images):
        for start in range(0, pixels, max(1, length)):
            part = slice(start, min(start + length, pixels))
            y = labels[image, ..., part].int()
            x = torch.where(y >= 0, logits[image, :, part].to(dtype), 0.0)
            yield image, part, x.contiguous(), y


def _ready(function: Callable[..., Any], compiled: bool) -> Callable[..., Any]:
    return _compiled(function) if compiled else function


@functools.cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(function, dynamic=True)


@functools.cache
def can_compile() -> bool:
    """Whether a C++ compiler is at hand; says once in the log if there is none."""
    names = [os.environ.get("CXX", "g++"), "g++", "clang++"]
    if any(shutil.which(name) for name in names):
        return True
    _logger.warning(
        "no C++ compiler (g++, clang++ or $CXX): losses run in the backend 'fused', which is "
        "several times slower than 'compiled'"
    )
    return False
