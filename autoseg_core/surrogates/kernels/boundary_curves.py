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
from functools import reduce
from typing import Protocol

import torch
from torch import Tensor

from autoseg_core.numerics import eps, tiny
from autoseg_core.surrogates.boundaries import DIFFERENCE, FREE_CURVES, check_curve_names


class Piece(Protocol):
    """One piece of a curve, its height counted from the curve's start.

    Returns [height], or [height, slope] when asked for both, in the shape of x: right between the
    piece's own joints, finite elsewhere.
    """

    def __call__(self, x: Tensor, with_slope: bool) -> list[Tensor]: ...


class BezierPiece:
    """Quadratic piece through three points (3, 2); formulas of ``surfaces.bezier``."""

    def __init__(self, points: Tensor, base: Tensor, alone: bool) -> None:
        (u0, v0), (u1, v1), (u2, v2) = (point.unbind() for point in points.unbind())
        wide = _is_wide(u2 - u0)
        self.start, self.width = u0, torch.where(wide, u2 - u0, 1.0)
        self.bend_at = torch.where(wide, (u1 - u0) / self.width, 0.5)
        self.low, self.high = self.bend_at**2, (1 - self.bend_at) ** 2
        self.base, self.rise, self.bend = v0 - base, v1 - v0, v0 - 2 * v1 + v2
        self.alone = alone  # runs from 0 to 1: x needs no scaling

    def __call__(self, x: Tensor, with_slope: bool) -> list[Tensor]:
        s = x if self.alone else (x - self.start).div_(self.width).clamp_(0, 1)
        root = (1 - s).mul_(self.low).addcmul_(s, self.high).clamp_(min=eps(x.dtype)).sqrt_()
        t = s / (root + self.bend_at)
        pull = (t * self.bend).add_(self.rise)  # half of dv/dt
        height = (pull + self.rise).mul_(t).add_(self.base)
        return [height, pull.div_(root.mul_(self.width))] if with_slope else [height]


class LinearPiece:
    """Straight piece through two points (2, 2); formulas of ``surfaces.linear``."""

    def __init__(self, points: Tensor, base: Tensor, alone: bool) -> None:
        (u0, v0), (u1, v1) = (point.unbind() for point in points.unbind())
        wide = _is_wide(u1 - u0)
        self.start, self.base = u0, v0 - base
        self.gradient = torch.where(wide, (v1 - v0) / torch.where(wide, u1 - u0, 1.0), 0.0)

    def __call__(self, x: Tensor, with_slope: bool) -> list[Tensor]:
        height = (x - self.start).mul_(self.gradient).add_(self.base)
        return [height, torch.zeros_like(x).add_(self.gradient)] if with_slope else [height]


def _is_wide(width: Tensor) -> Tensor:
    """Whether a piece is worth computing: no value falls into narrower ones but their joint's.

    Their slope would overflow, and infinity times the 0 of "not here" is NaN.
    """
    return width > tiny(width.dtype) / eps(width.dtype)


PIECES: dict[str, tuple[int, Callable[[Tensor, Tensor, bool], Piece]]] = {
    "bezier": (2, BezierPiece),
    "linear": (1, LinearPiece),
}


class FastCurve:
    """A curve made ready for many calls.

    surface: a name of ``PIECES``. points: (K, 2) of the dtype and device of the x to come.
    """

    def __init__(self, surface: str, points: Tensor) -> None:
        stride, piece = PIECES[surface]
        firsts = range(0, len(points) - 1, stride)
        base, alone = points[0, 1], len(firsts) == 1
        self.pieces = [piece(points[i : i + stride + 1], base, alone) for i in firsts]
        # The first joint is just above 0 and the last one is 1: outside, the ends' heights hold.
        self.joints = points[::stride, 0].clamp(min=tiny(points.dtype)).unbind()
        self.base, self.climb = base, points[-1, 1] - base

    def height(self, x: Tensor) -> Tensor:
        """Height of the curve at x; same shape."""
        return self._evaluate(x, with_slope=False)[0]

    def height_and_slope(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Height and slope dv/du at x; the slope is 0 outside (0, 1)."""
        height, slope = self._evaluate(x, with_slope=True)
        return height, slope

    def _evaluate(self, x: Tensor, with_slope: bool) -> list[Tensor]:
        reached, parts = _at_least(x, self.joints[0]), []
        for piece, end in zip(self.pieces, self.joints[1:], strict=True):
            passed = _at_least(x, end)
            here = reached.sub_(passed)
            parts.append([part.mul_(here) for part in piece(x, with_slope)])
            reached = passed
        height, *slope = (reduce(Tensor.add_, of_pieces) for of_pieces in zip(*parts, strict=True))
        return [height.addcmul_(reached, self.climb).add_(self.base), *slope]


def _at_least(x: Tensor, bound: Tensor) -> Tensor:
    """1.0 where x >= bound, else 0.0."""
    return torch.ge(x, bound, out=torch.empty_like(x))


@dataclass(frozen=True)
class EdgeForm:
    """An XOR surface of (p, e): its height, and its slopes dXOR/dp and dXOR/de."""

    height: Callable[[Sequence[FastCurve], Tensor, Tensor], Tensor]
    slopes: Callable[[Sequence[FastCurve], Tensor, Tensor], tuple[Tensor, Tensor]]


def _free_height(curves: Sequence[FastCurve], p: Tensor, e: Tensor) -> Tensor:
    and_p, and_e, or_p, or_e = (
        curve.height(x) for curve, x in zip(curves, (p, e, p, e), strict=True)
    )
    return (or_p + or_e).sub_(or_p.mul_(or_e)).sub_(and_p.mul_(and_e))


def _free_slopes(curves: Sequence[FastCurve], p: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
    (and_p, dand_p), (and_e, dand_e), (or_p, dor_p), (or_e, dor_e) = (
        curve.height_and_slope(x) for curve, x in zip(curves, (p, e, p, e), strict=True)
    )
    of_p = (1 - or_e).mul_(dor_p).sub_(dand_p.mul_(and_e))
    of_e = (1 - or_p).mul_(dor_e).sub_(dand_e.mul_(and_p))
    return of_p, of_e


def _difference_height(curves: Sequence[FastCurve], p: Tensor, e: Tensor) -> Tensor:
    (curve,) = curves
    return curve.height(p).sub_(curve.height(e))


def _difference_slopes(curves: Sequence[FastCurve], p: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
    (curve,) = curves
    return curve.height_and_slope(p)[1], curve.height_and_slope(e)[1].neg_()


_FORMS: dict[tuple[str, ...], EdgeForm] = {
    FREE_CURVES: EdgeForm(_free_height, _free_slopes),
    DIFFERENCE: EdgeForm(_difference_height, _difference_slopes),
}


def edge_form(names: Sequence[str]) -> EdgeForm:
    """The XOR surface that has curves of these names; raises ``ValueError`` for others."""
    return _FORMS[check_curve_names(names)]
