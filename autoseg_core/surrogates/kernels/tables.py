"""A curve as a table of coefficients, and the arithmetic that all kernels share.

P: pieces of a curve. A row of a table (P, 8) is one quadratic Bezier piece from (u0, v0) by
(u1, v1) to (u2, v2), in the notation of ``surfaces.bezier``:

    U0, SCALE = 1 / (u2 - u0), A = a, A_REST = 1 - a, V0, B = 2 (v1 - v0), C = v0 - 2 v1 + v2, V2
    s = (x - u0) SCALE,   y = a^2 (1 - s) + (1 - a)^2 s,   t = s / (a + sqrt(y))
    g(x) = v0 + t (B + t C),   g'(x) = SCALE (B + 2 t C) / (2 sqrt(y))
"""

from __future__ import annotations

import torch
from torch import Tensor

from autoseg_core.numerics import eps, tiny
from autoseg_core.surfaces import get_surface

U0, SCALE, A, A_REST, V0, B, C, V2 = range(8)
COLUMNS = 8


def curve_table(surface: str, points: Tensor, dtype: torch.dtype) -> Tensor:
    """Coefficients of a curve's pieces: control points (K, 2) -> (P, 8) of ``dtype``.

    Computed in float64 from points rounded to ``dtype``, so that joints lie where the reference in
    that precision has them.
    """
    rounded = points.detach().to(dtype).double()
    start, middle, end = get_surface(surface).pieces(rounded).unbind(1)
    width = end[:, 0] - start[:, 0]
    # As in surfaces.bezier: a piece of width zero is met only at its own joint.
    positive = width > tiny(dtype)
    width = torch.where(positive, width, torch.ones_like(width))
    a = torch.where(positive, (middle[:, 0] - start[:, 0]) / width, torch.full_like(width, 0.5))
    v0, v1, v2 = start[:, 1], middle[:, 1], end[:, 1]
    columns = [start[:, 0], 1 / width, a, 1 - a, v0, 2 * (v1 - v0), v0 - 2 * v1 + v2, v2]
    return torch.stack(columns, dim=1).to(dtype)


def value(table: Tensor, x: Tensor) -> Tensor:
    """g(x), as ``surfaces.bezier.value``; x any shape."""
    v0, b, c = _picked(table, x, V0), _picked(table, x, B), _picked(table, x, C)
    t, _, _ = _parameter(table, x)
    inside = v0 + t * (b + t * c)
    return torch.where(x <= 0, table[0, V0], torch.where(x >= 1, table[-1, V2], inside))


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
    a, rest = _picked(table, x, A), _picked(table, x, A_REST)
    y = a * a * (1 - s) + rest * rest * s
    floor = eps(x.dtype)
    root = y.clamp(min=floor).sqrt()
    return s / (a + root), root, y < floor


def _picked(table: Tensor, x: Tensor, column: int) -> Tensor:
    """The coefficient of the piece that each x falls into."""
    picked = table[0, column]
    for row in range(1, table.shape[0]):
        picked = torch.where(x >= table[row, U0], table[row, column], picked)
    return picked
