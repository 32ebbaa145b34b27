"""Search coordinates of one curve: unit cube of theta <-> control points.

K: control points of a curve, ends included; n = K - 2: inner ones; m: coordinates of a curve.

Coordinate-wise, B_1 = theta_1 and B_i = B_{i-1} + theta_i (1 - B_{i-1}) (ASL, arXiv 2010.07930,
sec. 3.3 and released code). With ends fixed at (0, 0) and (1, 1) this enforces both constraints of
the paper: the truth table and monotonicity. Each can be disabled for ablations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Constraints:
    """Constraints on a curve.

    ``truth_table``: v is 0 at x = 0 and 1 at x = 1; without it both ends are searched too.
    ``monotone``: v never decreases; without it each v is free. u is always in order.
    """

    truth_table: bool = True
    monotone: bool = True


def coordinate_names(inner: int, constraints: Constraints) -> list[str]:
    """A name for each coordinate of a curve of ``inner`` points, such as ``B1.u``."""
    ends = [] if constraints.truth_table else ["start.v", "end.v"]
    return [f"B{i}.{axis}" for i in range(1, inner + 1) for axis in "uv"] + ends


def control_points_at(theta: Array, constraints: Constraints) -> Array:
    """Map a curve's theta (m,) in [0, 1] to its control points (K, 2) in [0, 1]."""
    start, end = 0.0, 1.0
    if not constraints.truth_table:
        theta, (start, end) = theta[:-2], theta[-2:]
    u, v = _accumulate(theta[::2], 0.0), theta[1::2]
    if constraints.monotone:
        v = _accumulate(v, start)
        end = end if constraints.truth_table else v[-1] + end * (1 - v[-1])
    return np.column_stack([[0.0, *u, 1.0], [start, *v, end]])


def theta_of(curve: Array, constraints: Constraints) -> Array:
    """Inverse of ``control_points_at``.

    If an earlier point has reached 1, the coordinate does not matter and is returned as 0.
    """
    (start, end), (u, v) = curve[[0, -1], 1], curve[1:-1].T
    if constraints.monotone:
        end = _differentiate(np.array([end]), v[-1])[0]
        v = _differentiate(v, start)
    ends = [] if constraints.truth_table else [start, end]
    return np.concatenate([np.column_stack([_differentiate(u, 0.0), v]).ravel(), ends])


def check_curve(
    name: str, curve: Sequence[Sequence[float]], constraints: Constraints, count: int
) -> None:
    """Raise ``ValueError`` unless ``curve``, (K, 2) with both ends, satisfies the constraints.

    ``name`` starts the message; ``count`` is the expected K.
    """
    if len(curve) != count:
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
            "set truth_table to false if this is intended."
        )
    for axis, values, needed in (("u", u, True), ("v", v, constraints.monotone)):
        if needed and list(values) != sorted(values):
            hint = "; set monotone to false if this is intended" if axis == "v" else ""
            raise ValueError(f"{name}: {axis} must not decrease, got {list(values)}{hint}.")


def _accumulate(steps: Array, start: float) -> Array:
    """B_i = B_{i-1} + theta_i (1 - B_{i-1}), from B_0 = start."""
    points = []
    for step in steps:
        start = start + step * (1 - start)
        points.append(start)
    return np.array(points)


def _differentiate(points: Array, start: float) -> Array:
    """theta_i = (B_i - B_{i-1}) / (1 - B_{i-1}); 0 where B_{i-1} = 1."""
    before = np.concatenate([[start], points[:-1]])
    room = 1 - before
    steps: Array = np.divide(points - before, room, out=np.zeros_like(points), where=room > 0)
    return steps
