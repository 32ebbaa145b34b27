"""A curve as a table of coefficients, and the arithmetic that all kernels share.

P: pieces of a curve. A row of a table (P, 8) is one quadratic Bezier piece from (u0, v0) by
(u1, v1) to (u2, v2), in the notation of ``surfaces.bezier``:

    U0, SCALE = 1 / (u2 - u0), A = a, A_REST = 1 - a, V0, B = 2 (v1 - v0), C = v0 - 2 v1 + v2, V2
    s = (x - u0) SCALE,   y = a^2 (1 - s) + (1 - a)^2 s,   q = sqrt(max(y, eps))
    r = (q + y / q) / 2,   t = s / (a + r),   t' = (1 - t (1 - 2a) / (2q)) / (a + r)
    g(x) = v0 + t (B + t C),   g'(x) = SCALE (B + 2 t C) t'
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
    # Of narrower pieces, which hold no value but a joint's, slopes would overflow, and infinity
    # times the 0 of a mask is NaN.
    scale = (1 / width).clamp(max=eps(dtype) / tiny(dtype))
    columns = [start[:, 0], scale, a, 1 - a, v0, 2 * (v1 - v0), v0 - 2 * v1 + v2, v2]
    return torch.stack(columns, dim=1).to(dtype)


def value(table: Tensor, x: Tensor) -> Tensor:
    """g(x), as ``surfaces.bezier.value``; x any shape, at least 0."""
    u0, scale, a, rest, v0, b, c = _picked(table, x, (U0, SCALE, A, A_REST, V0, B, C))
    s = (x - u0).mul_(scale).clamp_(0, 1)
    root, _ = roots(_height(s, a, rest))
    t = s / root.add_(a)
    inside = (t * c).add_(b).mul_(t).add_(v0)
    end = at_least(x, 1.0)
    return inside.mul_(1 - end).addcmul_(end, table[-1, V2])


def slope(table: Tensor, x: Tensor) -> Tensor:
    """The derivative of ``value``; 0 from 1 on, and at 0 that of the curve's first piece."""
    u0, scale, a, rest, b, c = _picked(table, x, (U0, SCALE, A, A_REST, B, C))
    s = (x - u0).mul_(scale).clamp_(0, 1)
    root, floored = roots(_height(s, a, rest))
    root = root.add_(a)
    t = s.div_(root)
    speed = 1 - (t * (rest - a)).div_(floored.mul_(2))
    return t.mul_(c).mul_(2).add_(b).mul_(scale).mul_(speed.div_(root)).mul_(below(x, 1.0))


def roots(y: Tensor) -> tuple[Tensor, Tensor]:
    """r and q of the module's formulas; ``y`` is overwritten."""
    floored = y.clamp(min=eps(y.dtype)).sqrt_()
    return y.div_(floored).add_(floored).mul_(0.5), floored


def at_least(x: Tensor, bound: Tensor | float) -> Tensor:
    """1 where x >= bound, else 0, in x's dtype.

    On CPUs eager PyTorch takes many times as long for ``torch.where`` as for a product with such a
    mask: comparisons into numbers and arithmetic use the processor's vectors, choices do not.
    """
    return torch.ge(x, bound, out=torch.empty_like(x))


def below(x: Tensor, bound: Tensor | float) -> Tensor:
    """1 where x < bound, else 0, in x's dtype."""
    return torch.lt(x, bound, out=torch.empty_like(x))


def _height(s: Tensor, a: Tensor, rest: Tensor) -> Tensor:
    """y, whose root the parameter t needs."""
    return (1 - s).mul_(a * a).addcmul_(s, rest * rest)


def _picked(table: Tensor, x: Tensor, columns: Sequence[int]) -> list[Tensor]:
    """These coefficients of the piece that each x falls into; each joint is compared with once."""
    picked = [table[0, column] for column in columns]
    for row in table[1:]:
        # Above 0: before a jump at 0 stands the curve's own start.
        later = at_least(x, row[U0].clamp(min=tiny(x.dtype)))
        before = 1 - later
        picked = [
            (before * former).addcmul_(later, row[column])
            for column, former in zip(columns, picked, strict=True)
        ]
    return picked
