"""Sliding windows over maps, on any device.

N: images; H, W: pixels; r: radius in pixels.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

Join = Callable[[Tensor, Tensor], Tensor]


def window(maps: Tensor, radius: int, join: Join, outside: int) -> Tensor:
    """``join`` over the (2r+1) x (2r+1) window around each pixel.

    maps: (..., H, W) integers or bool. join: a function of two tensors that may join a number twice
    (maximum, minimum, OR). outside: what lies around the image. Returns (..., H, W).
    """
    for axis in (-1, -2):
        maps = _window_along(maps, radius, axis, join, outside)
    return maps


def _window_along(maps: Tensor, radius: int, axis: int, join: Join, outside: int) -> Tensor:
    """Pad by r, then double the window until it is 2r + 1 wide."""
    size, width = maps.shape[axis], 2 * radius + 1
    pad = [radius, radius] if axis == -1 else [0, 0, radius, radius]
    out, have = F.pad(maps, pad, value=outside), 1
    while have < width:
        step = min(have, width - have)
        rest = out.shape[axis] - step
        out = join(out.narrow(axis, 0, rest), out.narrow(axis, step, rest))
        have += step
    return out.narrow(axis, 0, size)
