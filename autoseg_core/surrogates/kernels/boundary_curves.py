"""Curves and XOR surfaces in few whole-tensor operations, with slopes by hand.

K: control points of a curve, ends included; x: values in [0, 1] of any shape. ``surfaces`` looks up
each value's piece in a table, which costs most of a boundary loss; here every piece is computed
everywhere and multiplied by a 0/1 map of where it holds, so time grows with the number of pieces
(boundary curves have one or two). Values and slopes are those of ``surfaces`` to rounding.
Products with 0/1 floats stand for ``torch.where``, which takes about ten times as long on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from autoseg_core.numerics import eps, tiny
from autoseg_core.surrogates.boundaries import DIFFERENCE, FREE_CURVES, check_curve_names


class Height(NamedTuple):
    """Height of a curve, and its slope dv/du when that was asked for; shapes of x."""

    value: Tensor
    slope: Tensor


class Piece(Protocol):
    """One piece of a curve, relative to the curve's start; right only between its own joints."""

    def __call__(self, x: Tensor, with_slope: bool) -> Height: ...


class BezierPiece:
    """Quadratic piece through three points (3, 2); formulas of ``surfaces.bezier``."""

    def __init__(self, points: Tensor, base: Tensor, alone: bool) -> None:
        (u0, v0), (u1, v1), (u2, v2) = (point.unbind() for point in points.unbind())
        wide = (u2 - u0) > tiny(points.dtype)
        self.start, self.width = u0, torch.where(wide, u2 - u0, 1.0)
        self.bend_at = torch.where(wide, (u1 - u0) / self.width, 0.5)
        self.low, self.high = self.bend_at**2, (1 - self.bend_at) ** 2
        self.base, self.rise, self.bend = v0 - base, v1 - v0, v0 - 2 * v1 + v2
        self.alone = alone  # x needs no scaling: the piece runs from 0 to 1

    def __call__(self, x: Tensor, with_slope: bool) -> Height:
        s = x if self.alone else (x - self.start).div_(self.width).clamp_(0, 1)
        root = (1 - s).mul_(self.low).addcmul_(s, self.high).clamp_(min=eps(x.dtype)).sqrt_()
        t = s / (root + self.bend_at)
        pull = (t * self.bend).add_(self.rise)  # dv/dt / 2
        value = (pull + self.rise).mul_(t).add_(self.base)
        return Height(value, pull.div_(root.mul_(self.width)) if with_slope else value)


class LinearPiece:
    """Straight piece through two points (2, 2); formulas of ``surfaces.linear``."""

    def __init__(self, points: Tensor, base: Tensor, alone: bool) -> None:
        (u0, v0), (u1, v1) = (point.unbind() for point in points.unbind())
        wide = (u1 - u0) > tiny(points.dtype)
        self.start, self.base = u0, v0 - base
        self.gradient = torch.where(wide, (v1 - v0) / torch.where(wide, u1 - u0, 1.0), 0.0)

    def __call__(self, x: Tensor, with_slope: bool) -> Height:
        value = (x - self.start).mul_(self.gradient).add_(self.base)
        return Height(value, self.gradient.expand_as(x) if with_slope else value)


PIECES: dict[str, tuple[int, Callable[[Tensor, Tensor, bool], Piece]]] = {
    "bezier": (2, BezierPiece),
    "linear": (1, LinearPiece),
}


class FastCurve:
    """A curve made ready for many calls: ``curve(x)`` and, with the slope, ``curve.both(x)``.

    surface: a name of ``PIECES``. points: (K, 2) of the dtype and device of the x to come.
    """

    def __init__(self, surface: str, points: Tensor) -> None:
        stride, piece = PIECES[surface]
        firsts = range(0, len(points) - 1, stride)
        base, alone = points[0, 1], len(firsts) == 1
        self.pieces = [piece(points[i : i + stride + 1], base, alone) for i in firsts]
        # The first joint is just above 0 and the last one is 1: outside, the ends' heights hold.
        joints = points[::stride, 0].clamp(min=tiny(points.dtype))
        self.joints = joints.unbind()
        self.base, self.climb = base, points[-1, 1] - base

    def __call__(self, x: Tensor) -> Tensor:
        """Height at x; same shape."""
        return self._evaluate(x, with_slope=False).value

    def both(self, x: Tensor) -> Height:
        """Height and slope at x; the slope is 0 outside (0, 1)."""
        return self._evaluate(x, with_slope=True)

    def _evaluate(self, x: Tensor, with_slope: bool) -> Height:
        value = slope = torch.zeros_like(x)
        reached = _at_least(x, self.joints[0])
        for piece, end in zip(self.pieces, self.joints[1:], strict=True):
            passed = _at_least(x, end)
            here = reached.sub_(passed)
            height = piece(x, with_slope)
            value = torch.addcmul(value, height.value, here)
            if with_slope:
                slope = torch.addcmul(slope, height.slope, here)
            reached = passed
        return Height(value.addcmul_(reached, self.climb).add_(self.base), slope)


def _at_least(x: Tensor, bound: Tensor) -> Tensor:
    """1.0 where x >= bound, else 0.0."""
    return torch.ge(x, bound, out=torch.empty_like(x))


@dataclass(frozen=True)
class EdgeForm:
    """An XOR surface of (p, e): its height, and its slopes dXOR/dp and dXOR/de."""

    height: Callable[[Sequence[FastCurve], Tensor, Tensor], Tensor]
    slopes: Callable[[Sequence[FastCurve], Tensor, Tensor], tuple[Tensor, Tensor]]


def _free_height(curves: Sequence[FastCurve], p: Tensor, e: Tensor) -> Tensor:
    and_p, and_e, or_p, or_e = curves
    a, b = or_p(p), or_e(e)
    return a.add(b).sub_(a.mul_(b)).sub_(and_p(p).mul_(and_e(e)))


def _free_slopes(curves: Sequence[FastCurve], p: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
    and_p, and_e, or_p, or_e = (
        curve.both(x) for curve, x in zip(curves, (p, e, p, e), strict=True)
    )
    of_p = (1 - or_e.value).mul_(or_p.slope).sub_(and_p.slope.mul_(and_e.value))
    of_e = (1 - or_p.value).mul_(or_e.slope).sub_(and_e.slope.mul_(and_p.value))
    return of_p, of_e


def _difference_height(curves: Sequence[FastCurve], p: Tensor, e: Tensor) -> Tensor:
    (curve,) = curves
    return curve(p).sub_(curve(e))


def _difference_slopes(curves: Sequence[FastCurve], p: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
    (curve,) = curves
    return curve.both(p).slope, curve.both(e).slope.neg_()


_FORMS: dict[tuple[str, ...], EdgeForm] = {
    FREE_CURVES: EdgeForm(_free_height, _free_slopes),
    DIFFERENCE: EdgeForm(_difference_height, _difference_slopes),
}


def edge_form(names: Sequence[str]) -> EdgeForm:
    """The XOR surface that has curves of these names; raises ``ValueError`` for others."""
    return _FORMS[check_curve_names(names)]
