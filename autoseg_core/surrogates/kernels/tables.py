"""A curve as a table of coefficients, and the arithmetic that all kernels share.

P: pieces of a curve. A row of a table (P, 8) is one quadratic Bezier piece from (u0, v0) by
(u1, v1) to (u2, v2), in the notation of ``surfaces.bezier``:

    U0, SCALE = 1 / (u2 - u0), A = a, A_REST = 1 - a, V0, B = 2 (v1 - v0), C = v0 - 2 v1 + v2, V2
    s = (x - u0) SCALE,   y = a^2 (1 - s) + (1 - a)^2 s,   t = s / (a + sqrt(y))
    g(x) = v0 + t (B + t C),   g'(x) = SCALE (B + 2 t C) / (2 sqrt(y))
"""

from __future__ import annotations

from collections.abc import Sequence

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
    u0, scale, a, rest, v0, b, c = _picked(table, x, (U0, SCALE, A, A_REST, V0, B, C))
    s = ((x - u0) * scale).clamp(0, 1)
    t = s / (a + _height(s, a, rest).clamp(min=eps(x.dtype)).sqrt())
    inside = v0 + t * (b + t * c)
    return torch.where(x <= 0, table[0, V0], torch.where(x >= 1, table[-1, V2], inside))


def slope(table: Tensor, x: Tensor) -> Tensor:
    """The derivative of ``value``, 0 outside (0, 1).

    Where the floor of y binds, t = s / (a + root) with a constant root has another slope than
    elsewhere; it is taken, so that this is the derivative of what ``value`` computes.
    """
    u0, scale, a, rest, b, c = _picked(table, x, (U0, SCALE, A, A_REST, B, C))
    s = ((x - u0) * scale).clamp(0, 1)
    y, floor = _height(s, a, rest), eps(x.dtype)
    root = y.clamp(min=floor).sqrt()
    reach = a + root
    t = s / reach
    speed = torch.where(y < floor, reach, 2 * root)
    return torch.where((x > 0) & (x < 1), scale * (b + 2 * t * c) / speed, 0.0)


def _height(s: Tensor, a: Tensor, rest: Tensor) -> Tensor:
    """y, whose root the parameter t needs."""
    return a * a * (1 - s) + rest * rest * s


def _picked(table: Tensor, x: Tensor, columns: Sequence[int]) -> list[Tensor]:
    """These coefficients of the piece that each x falls into; each joint is compared with once."""
    picked = [table[0, column] for column in columns]
    for row in table[1:]:
        later = x >= row[U0]
        picked = [
            torch.where(later, row[column], before)
            for column, before in zip(columns, picked, strict=True)
        ]
    return picked
