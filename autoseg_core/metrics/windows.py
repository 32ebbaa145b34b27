"""Sliding windows over label maps and class sets, as few passes over flat memory.

K: maps; H, W: pixels; H', W': the same with a margin around them; r: radius in pixels.

Inside a margin of at least r pixels, the pixel to the right is the next number in memory and the
pixel below the one after W' numbers, for all maps at once. So a window is a few operations between
a flat array and itself, shifted; each doubles the window. What ends up in the margin means nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from autoseg_core.metrics.arrays import Array, cast, empty, fill, full


def framed(labels: Array, seen: Array, unseen: int, margin: int) -> Array:
    """Labels (..., H, W) in [0, ``unseen``] in a margin of ``unseen``, which also hides pixels.

    seen: (..., H, W) bool; what the others hold changes nothing. Returns (..., H', W') in the
    smallest type that fits: what is compared and moved has an eighth of the size of int64.
    """
    *images, height, width = labels.shape
    dtype = next(name for name in ("uint8", "int16", "int64") if unseen <= np.iinfo(name).max)
    frame = full((*images, height + 2 * margin, width + 2 * margin), unseen, dtype, like=labels)
    inside(frame, margin)[...] = cast(labels, dtype)
    fill(inside(frame, margin), ~seen, unseen)
    return frame


def inside(maps: Array, margin: int) -> Array:
    """The view (..., H, W) of maps (..., H', W') without their margin."""
    height, width = maps.shape[-2:]
    return maps[..., margin : height - margin, margin : width - margin]


def window(
    maps: Array, radius: int, join: Callable[..., Array], buffers: Sequence[Array] | None = None
) -> Array:
    """``join`` over the (2r+1) x (2r+1) window around each pixel.

    maps: (..., H', W') with a margin of at least r pixels that holds neutral numbers. join: a
    function of two arrays that may join a number twice (minimum, maximum, OR), with ``out=``.
    buffers: two flat arrays of ``room(maps, radius)`` numbers to work in; ``maps`` may lie at the
    start of the second, and is lost then. Returns (..., H', W'), of meaning inside the margin only.
    """
    if radius == 0:
        return maps
    flat, width, size = maps.reshape(-1), maps.shape[-1], 2 * radius + 1
    pixels, centre, turn = len(flat), radius * (width + 1), 0
    # Results are written r rows and columns further on, where the window's centre is. Two buffers
    # take turns: an operation must not read what it writes.
    buffers = buffers or [empty(room(maps, radius), maps) for _ in range(2)]
    for stride in (1, width):
        have = 1
        while have < size:
            step = min(have, size - have)
            count = len(flat) - step * stride
            out = buffers[turn][centre : centre + count]
            flat = join(flat[:count], flat[step * stride :], out=out)
            have, turn = have + step, 1 - turn
    return buffers[1 - turn][:pixels].reshape(maps.shape)


def room(maps: Array, radius: int) -> int:
    """Numbers that a buffer of ``window`` holds."""
    pixels: int = math.prod(maps.shape)
    return pixels + radius * (int(maps.shape[-1]) + 1)
