"""The search space: unit cube of coordinates theta <-> control points of a metric's curves.

d: coordinates; G: curves of the metric; K: control points of a curve, ends included.

Coordinate-wise, B_1 = theta_1 and B_i = B_{i-1} + theta_i (1 - B_{i-1}) (ASL, arXiv 2010.07930,
sec. 3.3 and released code). With ends fixed at (0, 0) and (1, 1) this builds in both constraints of
the paper: the truth table and monotonicity. Each can be lifted for its ablation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoseg_core.objective import Objective
from autoseg_core.scores import get_metric
from autoseg_core.surfaces import get_surface

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Constraints:
    """What a curve must obey.

    ``truth_table``: v is 0 at x = 0 and 1 at x = 1; without it both ends are searched too.
    ``monotone``: v never falls; without it each v is free. u is always in order.
    """

    truth_table: bool = True
    monotone: bool = True


class SearchSpace:
    """Coordinates of one metric's surrogate.

    Arguments: ``metric`` and ``surface`` by name, ``pieces`` (the metric's default when None),
    ``constraints``. Raises ``ValueError`` for unknown names or fewer than one inner point.
    """

    def __init__(
        self,
        metric: str,
        surface: str = "bezier",
        pieces: int | None = None,
        constraints: Constraints | None = None,
    ) -> None:
        row = get_metric(metric)
        family = get_surface(surface)
        self.metric = row.name
        self.surface = family.name
        self.pieces = row.pieces[surface] if pieces is None else pieces
        self.constraints = constraints or Constraints()
        self.curves = row.curves
        self.inner = family.inner_points(self.pieces) if self.pieces >= 1 else 0
        if self.inner < 1:
            least = 1 if family.inner_points(1) else 2
            raise ValueError(
                f"A {surface} curve needs at least {least} pieces to have something to search; "
                f"got pieces={pieces}."
            )

    def to_dict(self) -> dict[str, Any]:
        """What makes this space, in plain JSON values; ``from_dict`` makes it again."""
        return {
            "metric": self.metric,
            "surface": self.surface,
            "pieces": self.pieces,
            "truth_table": self.constraints.truth_table,
            "monotone": self.constraints.monotone,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SearchSpace:
        """Inverse of ``to_dict``; raises ``KeyError`` for a missing value, ``ValueError``."""
        constraints = Constraints(values["truth_table"], values["monotone"])
        return cls(values["metric"], values["surface"], values["pieces"], constraints)

    def __eq__(self, other: object) -> bool:
        """Equal when every theta means the same curves of the same metric in both."""
        return isinstance(other, SearchSpace) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(tuple(self.to_dict().values()))

    def __repr__(self) -> str:
        return f"SearchSpace({self.metric!r}, {self.surface!r}, {self.pieces}, {self.constraints})"

    @property
    def objective(self) -> Objective:
        """The metric, as something to maximise."""
        return Objective((self.metric,), (1.0,))

    @property
    def parts(self) -> tuple[SearchSpace, ...]:
        """The spaces of single metrics that make it up: itself."""
        return (self,)

    def split(self, theta: ArrayLike) -> list[Array]:
        """The coordinates of each part."""
        return [np.asarray(theta, dtype=np.float64)]

    @property
    def dim(self) -> int:
        """Number of coordinates d."""
        return len(self.names)

    @property
    def names(self) -> list[str]:
        """One name a coordinate, such as ``and.B1.u``, in the order of theta."""
        ends = [] if self.constraints.truth_table else ["start.v", "end.v"]
        inner = [f"B{i}.{axis}" for i in range(1, self.inner + 1) for axis in "uv"]
        return [f"{curve}.{name}" for curve in self.curves for name in inner + ends]

    def identity(self) -> Array:
        """theta (d,) of the identity curves, from which a search starts."""
        line = np.linspace(0.0, 1.0, self.inner + 2)
        curve = np.stack([line, line], axis=1)
        return self.theta(np.stack([curve] * len(self.curves)))

    def control_points(self, theta: ArrayLike) -> Array:
        """Map theta (d,) in [0, 1] to control points (G, K, 2) in [0, 1], ends included."""
        flat = np.asarray(theta, dtype=np.float64)
        if flat.shape != (self.dim,):
            raise ValueError(
                f"Expected {self.dim} coordinates for {self.metric}, got shape {flat.shape}."
            )
        if not np.all((flat >= 0) & (flat <= 1)):
            raise ValueError(f"Coordinates must lie in [0, 1]; got {flat.tolist()}.")
        return np.stack([self._decode(row) for row in flat.reshape(len(self.curves), -1)])

    def theta(self, control_points: ArrayLike) -> Array:
        """Inverse of ``control_points``: (G, K, 2) -> (d,).

        Where an earlier point has reached 1 the coordinate does not matter and is given as 0.
        Raises ``ValueError`` for another shape and for points that break the constraints.
        """
        points = np.asarray(control_points, dtype=np.float64)
        expected = (len(self.curves), self.inner + 2, 2)
        if points.shape != expected:
            raise ValueError(
                f"Expected control points of shape {expected} (curves, points with both ends, uv) "
                f"for {self.metric}, got {points.shape}."
            )
        for name, curve in zip(self.curves, points, strict=True):
            check_curve(f"Curve {name!r}", curve.tolist(), self.constraints)
        return np.concatenate([self._encode(curve) for curve in points])

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
