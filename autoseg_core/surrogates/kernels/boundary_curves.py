"""Curves and XOR surfaces in few whole-tensor operations, with slopes by hand.

P: pieces of a curve; x: values in [0, 1] of any shape. Like ``tables.value`` and ``tables.slope``,
but heights and slopes come together, and every piece is computed everywhere, so time grows with P
(boundary curves have one or two).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from autoseg_core.numerics import tiny
from autoseg_core.surrogates.boundaries import DIFFERENCE, FREE_CURVES, check_curve_names
from autoseg_core.surrogates.kernels.tables import U0, V0, V2, at_least, curve_table, roots


class BezierPiece:
    """One row of a ``tables.curve_table``; heights are counted from ``base``.

    Right between the piece's own joints, finite elsewhere. alone: the piece runs from 0 to 1, so
    that x needs no scaling.
    """

    def __init__(self, row: Tensor, base: Tensor, alone: bool) -> None:
        self.start, self.scale, self.a, self.rest, v0, self.b, self.c, _ = row.unbind()
        self.low, self.high, self.base = self.a**2, self.rest**2, v0 - base
        self.alone = alone

    def __call__(self, x: Tensor, with_slope: bool) -> list[Tensor]:
        """[height], or [height, slope] when asked for both, in the shape of x."""
        s = x if self.alone else (x - self.start).mul_(self.scale).clamp_(0, 1)
        root, floored = roots((1 - s).mul_(self.low).addcmul_(s, self.high))
        root = root.add_(self.a)
        t = s / root
        bend = t * self.c
        height = (bend + self.b).mul_(t).add_(self.base)
        if not with_slope:
            return [height]
        speed = 1 - t.mul_(self.rest - self.a).div_(floored.mul_(2))
        return [height, bend.mul_(2).add_(self.b).mul_(self.scale).mul_(speed.div_(root))]


class FastCurve:
    """A curve made ready for many calls.

    surface: a name of ``surfaces.SURFACES``. points: (K, 2) control points, of the device and, once
    cast to ``dtype``, the dtype of the x to come.
    """

    def __init__(self, surface: str, points: Tensor, dtype: torch.dtype) -> None:
        table = curve_table(surface, points, dtype)
        base = table[0, V0]
        self.pieces = [BezierPiece(row, base, alone=len(table) == 1) for row in table]
        # The first joint is just above 0 and the last one is 1: outside, the ends' heights hold.
        joints = torch.cat([table[:, U0], torch.ones_like(table[:1, U0])])
        self.joints = joints.clamp(min=tiny(table.dtype)).unbind()
        self.base, self.climb = base, table[-1, V2] - base

    def height(self, x: Tensor) -> Tensor:
        """Height of the curve at x; same shape."""
        return self._evaluate(x, with_slope=False)[0]

    def height_and_slope(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Height and slope dv/du at x; the slope is 0 outside (0, 1)."""
        height, slope = self._evaluate(x, with_slope=True)
        return height, slope

    def _evaluate(self, x: Tensor, with_slope: bool) -> list[Tensor]:
        reached, parts = at_least(x, self.joints[0]), []
        for piece, end in zip(self.pieces, self.joints[1:], strict=True):
            passed = at_least(x, end)
            here = reached.sub_(passed)
            parts.append([part.mul_(here) for part in piece(x, with_slope)])
            reached = passed
        height, *slope = (reduce(Tensor.add_, of_pieces) for of_pieces in zip(*parts, strict=True))
        return [height.addcmul_(reached, self.climb).add_(self.base), *slope]


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
