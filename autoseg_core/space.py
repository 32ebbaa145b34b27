"""The search space of an objective: the curves of its targets, one after the other.

d: coordinates of all curves; G: curves of all targets; K: control points of a curve, ends included,
which may differ from target to target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from autoseg_core.curve_space import (
    Array,
    Constraints,
    check_curve,
    control_points_at,
    coordinate_names,
    theta_of,
)
from autoseg_core.numerics import whole_number
from autoseg_core.objective import Objective
from autoseg_core.surfaces import get_surface
from autoseg_core.targets import Target


@dataclass(frozen=True, init=False, repr=False)
class SearchSpace:
    """Coordinates theta (d,) of the surrogates of an objective, each in [0, 1].

    objective: text or ``Objective``; each of its targets has curves, its constraints have none.
    surface, constraints: for all curves. pieces: for all curves, or a number for each target; None
    = as released. Two spaces are equal if every theta gives the same curves, and they have the same
    objective. Raises ``ValueError`` for unknown names and for curves without an inner
    point.
    """

    objective: Objective
    surface: str
    pieces: tuple[int, ...]
    constraints: Constraints

    def __init__(
        self,
        objective: str | Objective,
        surface: str = "bezier",
        pieces: int | Sequence[int] | None = None,
        constraints: Constraints | None = None,
    ) -> None:
        objective, family = Objective.parse(str(objective)), get_surface(surface)
        targets = [Target.named(name) for name in objective.targets]
        if pieces is None:
            pieces = [family.pieces_for(target.inner_points) for target in targets]
        given = np.atleast_1d(pieces).tolist() * (len(targets) if np.ndim(pieces) == 0 else 1)
        pieces = tuple(whole_number("pieces", count, least=1) for count in given)
        if len(pieces) != len(targets):
            raise ValueError(
                f"Expected one number of pieces for each of {', '.join(objective.targets)}, got "
                f"{list(pieces)}."
            )
        for count in pieces:
            if family.inner_points(count) < 1:
                raise ValueError(
                    f"A {surface} curve of {count} pieces has nothing to search; use more."
                )
        values = (objective, surface, pieces, constraints or Constraints())
        for name, value in zip(self.__dataclass_fields__, values, strict=True):
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        described = f"{str(self.objective)!r}, {self.surface!r}, {list(self.pieces)}"
        return f"SearchSpace({described}, {self.constraints})"

    def to_dict(self) -> dict[str, Any]:
        """The definition of this space in plain JSON values; ``from_dict`` is the inverse."""
        return {
            "objective": str(self.objective),
            "surface": self.surface,
            "pieces": list(self.pieces),
            "truth_table": self.constraints.truth_table,
            "monotone": self.constraints.monotone,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SearchSpace:
        """Inverse of ``to_dict``, also for older journals, which call a single objective "metric".

        Raises ``KeyError`` for a missing value, and ``ValueError``.
        """
        objective = values["metric"] if "metric" in values else values["objective"]
        constraints = Constraints(values["truth_table"], values["monotone"])
        return cls(objective, values["surface"], values["pieces"], constraints)

    @property
    def targets(self) -> list[Target]:
        """The targets of the objective."""
        return [Target.named(name) for name in self.objective.targets]

    @property
    def _inner(self) -> list[int]:
        """Free control points of each curve."""
        inner = map(get_surface(self.surface).inner_points, self.pieces)
        return [n for t, n in zip(self.targets, inner, strict=True) for _ in t.curves]

    @property
    def curves(self) -> tuple[str, ...]:
        """A name for each curve: ``and``, or with several targets ``mIoU.and``."""
        if len(self.targets) == 1:
            return self.targets[0].curves
        return tuple(f"{target}.{curve}" for target in self.targets for curve in target.curves)

    @property
    def names(self) -> list[str]:
        """A name for each coordinate: ``and.B1.u``, or with several targets ``mIoU.and.B1.u``."""
        pairs = zip(self.curves, self._inner, strict=True)
        return [f"{c}.{name}" for c, n in pairs for name in coordinate_names(n, self.constraints)]

    @property
    def dim(self) -> int:
        """Number of coordinates d."""
        return len(self.names)

    def identity(self) -> Array:
        """theta (d,) of the identity curves, from which a search starts."""
        lines = (np.linspace(0.0, 1.0, inner + 2) for inner in self._inner)
        return self.theta([np.stack([line, line], axis=1) for line in lines])

    def control_points(self, theta: ArrayLike) -> list[Array]:
        """Map theta (d,) in [0, 1] to G curves (K, 2) in [0, 1], ends included."""
        flat = np.asarray(theta, dtype=np.float64)
        if flat.shape != (self.dim,):
            raise ValueError(
                f"Expected {self.dim} coordinates for {self.objective}, got shape {flat.shape}."
            )
        wrong = np.flatnonzero(~((flat >= 0) & (flat <= 1)))  # NaN is neither
        if wrong.size:
            first, name = flat[wrong[0]], self.names[wrong[0]]
            raise ValueError(f"Coordinates must lie in [0, 1]; got {first:g} for {name}.")
        sizes = [len(coordinate_names(inner, self.constraints)) for inner in self._inner]
        curves = np.split(flat, np.cumsum(sizes)[:-1])
        return [control_points_at(curve, self.constraints) for curve in curves]

    def theta(self, control_points: Sequence[ArrayLike]) -> Array:
        """Inverse of ``control_points``; ``ValueError`` for curves outside this space."""
        if len(control_points) != len(self.curves):
            raise ValueError(
                f"Expected the control points of {len(self.curves)} curves for {self.objective}, "
                f"got {len(control_points)}."
            )
        curves = [np.asarray(curve, dtype=np.float64) for curve in control_points]
        for name, curve, inner in zip(self.curves, curves, self._inner, strict=True):
            check_curve(f"Curve {name!r}", curve.tolist(), self.constraints, inner + 2)
        return np.concatenate([theta_of(curve, self.constraints) for curve in curves])


search_space = SearchSpace
"""The search space of an objective or a metric: a function form of the class."""
