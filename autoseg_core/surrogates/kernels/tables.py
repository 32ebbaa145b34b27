"""A curve as a table of coefficients, and the arithmetic that all kernels share.

P: pieces of a curve. A row of a table (P, 7) is one quadratic Bezier piece from (u0, v0) by
(u1, v1) to (u2, v2), in the notation of ``surfaces.bezier``:

    U0, SCALE = 1 / (u2 - u0), A = a, V0, B = 2 (v1 - v0), C = v0 - 2 v1 + v2, END = u2
    s = (x - u0) SCALE,   y = a^2 (1 - s) + (1 - a)^2 s,   t = s / (a + sqrt(y))
    g(x) = v0 + t (B + t C),   g'(x) = SCALE (B + 2 t C) / (2 sqrt(y))
"""

from __future__ import annotations

import torch
from torch import Tensor

from autoseg_core.numerics import eps, tiny
from autoseg_core.surfaces import get_surface

U0, SCALE, A, V0, B, C, END = range(7)


def curve_table(surface: str, points: Tensor, dtype: torch.dtype) -> Tensor:
    """Coefficients of a curve's pieces: control points (K, 2) -> (P, 7) of ``dtype``."""
    start, middle, end = get_surface(surface).pieces(points.to(dtype)).unbind(1)
    width = end[:, 0] - start[:, 0]
    # As in surfaces.bezier: a piece of width zero is met only at its own joint.
    positive = width > tiny(dtype)
    width = torch.where(positive, width, torch.ones_like(width))
    a = torch.where(positive, (middle[:, 0] - start[:, 0]) / width, torch.full_like(width, 0.5))
    v0, v1, v2 = start[:, 1], middle[:, 1], end[:, 1]
    rows = [start[:, 0], 1 / width, a, v0, 2 * (v1 - v0), v0 - 2 * v1 + v2, end[:, 0]]
    return torch.stack(rows, dim=1)


def value(table: Tensor, x: Tensor) -> Tensor:
    """g(x), as ``surfaces.bezier.value``; x any shape."""
    v0, b, c = _picked(table, x, V0), _picked(table, x, B), _picked(table, x, C)
    t, _, _ = _parameter(table, x)
    inside = v0 + t * (b + t * c)
    first, last = table[0, V0], table[-1, V0] + table[-1, B] + table[-1, C]
    return torch.where(x <= 0, first, torch.where(x >= 1, last, inside))


def slope(table: Tensor, x: Tensor) -> Tensor:
    """The derivative of ``value``, 0 outside (0, 1).

    Where the floor of y binds, t = s / (a + root) with a constant root has another slope than
    elsewhere; it is taken, so that this is the derivative of what ``value`` computes.
    """
    b, c, scale = _picked(table, x, B), _picked(table, x, C), _picked(table, x, SCALE)
    t, root, floored = _parameter(table, x)
    speed = torch.where(floored, _picked(table, x, A) + root, 2 * root)
    return torch.where((x > 0) & (x < 1), scale * (b + 2 * t * c) / speed, 0.0)


def _parameter(table: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """t, sqrt(y), and where the floor of y binds."""
    s = ((x - _picked(table, x, U0)) * _picked(table, x, SCALE)).clamp(0, 1)
    a = _picked(table, x, A)
    y = a * a * (1 - s) + (1 - a) * (1 - a) * s
    floor = eps(x.dtype)
    root = y.clamp(min=floor).sqrt()
    return s / (a + root), root, y < floor


def _picked(table: Tensor, x: Tensor, column: int) -> Tensor:
    """The coefficient of the piece that each x falls into."""
    picked = table[0, column]
    for row in range(1, table.shape[0]):
        picked = torch.where(x >= table[row - 1, END], table[row, column], picked)
    return picked
