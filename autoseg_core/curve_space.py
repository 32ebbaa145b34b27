"""Search coordinates of one metric's curves: unit cube of theta <-> control points.

d: coordinates; G: curves of the metric; K: control points of a curve, ends included.

Coordinate-wise, B_1 = theta_1 and B_i = B_{i-1} + theta_i (1 - B_{i-1}) (ASL, arXiv 2010.07930,
sec. 3.3 and released code). With ends fixed at (0, 0) and (1, 1) this builds in both constraints of
the paper: the truth table and monotonicity. Each can be lifted for its ablation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoseg_core.surfaces import get_surface
from autoseg_core.targets import Target

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Constraints:
    """What a curve must obey.

    ``truth_table``: v is 0 at x = 0 and 1 at x = 1; without it both ends are searched too.
    ``monotone``: v never falls; without it each v is free. u is always in order.
    """

    truth_table: bool = True
    monotone: bool = True


@dataclass(frozen=True)
class CurveSpace:
    """Coordinates of the curves of one target, all of ``pieces`` pieces of a surface.

    Raises ``ValueError`` for an unknown surface and for curves without an inner point.
    """

    target: Target
    surface: str
    pieces: int
    constraints: Constraints = Constraints()

    def __post_init__(self) -> None:
        if self.pieces < 1 or self.inner < 1:
            raise ValueError(
                f"A {self.surface} curve of {self.pieces} pieces has nothing to search; take more."
            )

    @property
    def inner(self) -> int:
        """Free control points of a curve."""
        return get_surface(self.surface).inner_points(self.pieces)

    @property
    def curves(self) -> tuple[str, ...]:
        """Names of the G curves, in the order of theta."""
        return self.target.curves

    @property
    def dim(self) -> int:
        """Number of coordinates d."""
        return len(self.names)

    @property
    def names(self) -> list[str]:
        """A name for each coordinate, such as ``and.B1.u``, in the order of theta."""
        ends = [] if self.constraints.truth_table else ["start.v", "end.v"]
        inner = [f"B{i}.{axis}" for i in range(1, self.inner + 1) for axis in "uv"]
        return [f"{curve}.{name}" for curve in self.curves for name in inner + ends]

    def identity(self) -> Array:
        """theta (d,) of the identity curves, from which a search starts."""
        line = np.linspace(0.0, 1.0, self.inner + 2)
        return self.theta([np.stack([line, line], axis=1)] * len(self.curves))

    def control_points(self, theta: Array) -> Array:
        """Map theta (d,) in [0, 1] to control points (G, K, 2) in [0, 1], ends included."""
        if not ((theta >= 0) & (theta <= 1)).all():  # NaN is neither
            raise ValueError(f"Coordinates must lie in [0, 1]; got {theta.tolist()}.")
        return np.stack([self._decode(row) for row in theta.reshape(len(self.curves), -1)])

    def theta(self, control_points: Sequence[ArrayLike]) -> Array:
        """Inverse of ``control_points``: G curves (K, 2) -> (d,).

        Where an earlier point has reached 1 the coordinate does not matter and is given as 0.
        Raises ``ValueError`` for curves that ``check_curve`` refuses.
        """
        curves = [np.asarray(curve, dtype=np.float64) for curve in control_points]
        for name, curve in zip(self.curves, curves, strict=True):
            check_curve(f"Curve {name!r}", curve.tolist(), self.constraints, self.inner + 2)
        return np.concatenate([self._encode(curve) for curve in curves])

    def _decode(self, row: Array) -> Array:
        inner = row[: 2 * self.inner].reshape(self.inner, 2)
        start, end = (0.0, 1.0) if self.constraints.truth_table else row[2 * self.inner :]
        u = _accumulate(inner[:, 0], 0.0)
        v = inner[:, 1]
        if self.constraints.monotone:
            v = _accumulate(v, start)
            end = end if self.constraints.truth_table else v[-1] + end * (1 - v[-1])
        return np.column_stack(
            [np.concatenate([[0.0], u, [1.0]]), np.concatenate([[start], v, [end]])]
        )

    def _encode(self, curve: Array) -> Array:
        start, end = curve[0, 1], curve[-1, 1]
        u = _differentiate(curve[1:-1, 0], 0.0)
        v = curve[1:-1, 1]
        if self.constraints.monotone:
            end = _differentiate(np.array([end]), v[-1])[0]
            v = _differentiate(v, start)
        ends = [] if self.constraints.truth_table else [start, end]
        return np.concatenate([np.column_stack([u, v]).ravel(), ends])


def check_curve(
    name: str, curve: Sequence[Sequence[float]], constraints: Constraints, count: int | None = None
) -> None:
    """Raise ``ValueError`` unless ``curve``, (K, 2) with both ends, is one of a search space.

    ``name`` begins the message; ``count`` is the K expected, if it is to be checked.
    """
    if count is not None and len(curve) != count:
        raise ValueError(
            f"{name}: expected {count} control points with both ends, got {len(curve)}."
        )
    if not all(0 <= x <= 1 for point in curve for x in point):  # NaN is not
        raise ValueError(f"{name}: control points must lie in [0, 1], got {list(curve)}.")
    u, v = zip(*curve, strict=True)
    if (u[0], u[-1]) != (0, 1):
        raise ValueError(f"{name}: u must run from 0 to 1, got {u[0]} to {u[-1]}.")
    if constraints.truth_table and (v[0], v[-1]) != (0, 1):
        raise ValueError(
            f"{name}: the truth table needs v = 0 and 1 at the ends, got {v[0]} and {v[-1]}; "
            "set truth_table to false if this is meant."
        )
    for axis, values, needed in (("u", u, True), ("v", v, constraints.monotone)):
        if needed and list(values) != sorted(values):
            hint = "; set monotone to false if this is meant" if axis == "v" else ""
            raise ValueError(f"{name}: {axis} must not fall, got {list(values)}{hint}.")


def _accumulate(steps: Array, start: float) -> Array:
    """B_i = B_{i-1} + theta_i (1 - B_{i-1}), from B_0 = start."""
    points = []
    for step in steps:
        start = start + step * (1 - start)
        points.append(start)
    return np.array(points)


def _differentiate(points: Array, start: float) -> Array:
    """theta_i = (B_i - B_{i-1}) / (1 - B_{i-1}); 0 where nothing is left to climb."""
    before = np.concatenate([[start], points[:-1]])
    room = 1 - before
    steps: Array = np.divide(points - before, room, out=np.zeros_like(points), where=room > 0)
    return steps
