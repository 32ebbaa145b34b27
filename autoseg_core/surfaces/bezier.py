"""Piecewise quadratic Bezier curves on [0, 1] (ASL, arXiv 2010.07930, sec. 3.2).

P: pieces; K = 2P + 1 control points (u, v), ends included. Points with an even index are joints,
those with an odd index pull the curve. Piece k runs through points 2k, 2k + 1, 2k + 2.

For x = u(t) the parameter t solves a quadratic. The textbook root divides by 2a - 1 and loses all
digits near a = 1/2, which is exactly the identity curve; this module uses the stable root:
    s = (x - u0) / (u2 - u0),   a = (u1 - u0) / (u2 - u0),   t = s / (a + sqrt(y)),
    y = a^2 (1 - s) + (1 - a)^2 s   (= a^2 + (1 - 2a) s, as a sum of positive terms).
Where y is below ``eps`` (the tangent is all but vertical: a = 0 at s = 0, a = 1 at s = 1) the root
runs on along its tangent, r = (q + y / q) / 2 with q = sqrt(max(y, eps)), which is sqrt(y)
elsewhere. So slopes are bounded and continuous, and
    dt/ds = (1 - t (1 - 2a) / (2q)) / (a + r)   (= 1 / (2 sqrt(y)) where y >= eps)
is the derivative of the computed value. All backends use these formulas.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autoseg_core.numerics import eps, tiny


@dataclass(frozen=True)
class _Piece:
    """The piece that each x falls into: its points, its width, and the terms of the root."""

    start: Tensor
    middle: Tensor
    end: Tensor
    t: Tensor
    speed: Tensor  # dt/dx


def value(points: Tensor, x: Tensor) -> Tensor:
    """Height of the curve at ``x``.

    points: (K, 2) float, u non-decreasing from 0 to 1. x: any shape, same dtype. Returns x's shape;
    0 < x < 1 is interpolated, x outside takes the value of the nearer end. Differentiable in both.
    At a joint of width zero (two equal u) the curve jumps and takes the later piece's value.
    """
    piece = _locate(points, x)
    t = piece.t
    inside = (1 - t) ** 2 * piece.start + 2 * t * (1 - t) * piece.middle + t**2 * piece.end
    return _with_ends(points, x, inside)


def slope(points: Tensor, x: Tensor) -> Tensor:
    """Derivative dv/du of ``value`` at ``x``; 0 outside (0, 1). Same arguments and shape.

    At most about 4 / sqrt(eps) times the height of the piece over its width.
    """
    piece = _locate(points, x)
    rise = (1 - piece.t) * (piece.middle - piece.start) + piece.t * (piece.end - piece.middle)
    inside = 2 * rise * piece.speed
    return torch.where((x > 0) & (x < 1), inside, torch.zeros_like(inside))


def pieces(points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Start, middle and end of each piece: (..., K, 2) -> (..., P, 2) each."""
    return points[..., 0:-2:2, :], points[..., 1:-1:2, :], points[..., 2::2, :]


def _locate(points: Tensor, x: Tensor) -> _Piece:
    joints = points[2:-1:2, 0].detach()
    index = torch.zeros_like(x, dtype=torch.long)
    for joint in joints:  # P - 1 comparisons; no data leaves the device
        index = index + (x >= joint)
    u0, v0 = points[0:-2:2].unbind(1)
    u1, v1 = points[1:-1:2].unbind(1)
    u2, v2 = points[2::2].unbind(1)
    # A piece of width zero is evaluated only at its own joint; any positive width is finite there.
    positive = (u2 - u0) > tiny(u0.dtype)
    width = torch.where(positive, u2 - u0, torch.ones_like(u0))
    a = torch.where(positive, (u1 - u0) / width, torch.full_like(u0, 0.5))[index]
    s = ((x - u0[index]) / width[index]).clamp(0, 1)
    # Floor: a vertical tangent has an infinite slope, and infinity times a saturated softmax's
    # zero is a NaN gradient.
    y = a**2 * (1 - s) + (1 - a) ** 2 * s
    floored = y.clamp(min=eps(x.dtype)).sqrt()
    root = (floored + y / floored) / 2
    t = s / (a + root)
    speed = (1 - t * (1 - 2 * a) / (2 * floored)) / ((a + root) * width[index])
    return _Piece(v0[index], v1[index], v2[index], t, speed)


def _with_ends(points: Tensor, x: Tensor, inside: Tensor) -> Tensor:
    """Exact end values: the truth table must hold to the last bit, also for x an ulp above 1."""
    return torch.where(x <= 0, points[0, 1], torch.where(x >= 1, points[-1, 1], inside))
