"""The search space of an objective: the curves of its targets, one after the other.

d: coordinates of all curves; G: curves of all targets; K: control points of a curve, ends included,
which may differ from target to target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from autoseg_core.curve_space import Array, Constraints, CurveSpace
from autoseg_core.objective import Objective
from autoseg_core.surfaces import get_surface
from autoseg_core.targets import Target


class SearchSpace:
    """Coordinates theta (d,) of the surrogates of an objective, each in [0, 1].

    objective: text or ``Objective``; each of its targets has curves, its constraints have none.
    surface, constraints: of all curves. pieces: of all curves, or a number for each target; None =
    as released. Raises ``ValueError`` for unknown names and for curves without an inner point.
    """

    def __init__(
        self,
        objective: str | Objective,
        surface: str = "bezier",
        pieces: int | Sequence[int] | None = None,
        constraints: Constraints | None = None,
    ) -> None:
        self.objective = Objective.parse(str(objective))
        self.surface = surface
        self.constraints = constraints or Constraints()
        targets = [Target.named(name) for name in self.objective.targets]
        if pieces is None:
            pieces = [get_surface(surface).pieces_for(t.inner_points) for t in targets]
        self.pieces = tuple(pieces) if isinstance(pieces, Sequence) else (pieces,) * len(targets)
        if len(self.pieces) != len(targets):
            raise ValueError(
                f"Expected a number of pieces for each of {', '.join(self.objective.targets)}, got "
                f"{list(self.pieces)}."
            )
        self.parts = tuple(
            CurveSpace(target, surface, count, self.constraints)
            for target, count in zip(targets, self.pieces, strict=True)
        )

    def to_dict(self) -> dict[str, Any]:
        """What makes this space, in plain JSON values; ``from_dict`` makes it again."""
        return {
            "objective": str(self.objective),
            "surface": self.surface,
            "pieces": list(self.pieces),
            "truth_table": self.constraints.truth_table,
            "monotone": self.constraints.monotone,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SearchSpace:
        """Inverse of ``to_dict``, also of older journals, which call a lone objective "metric".

        Raises ``KeyError`` for a missing value, ``ValueError``.
        """
        objective = values["metric"] if "metric" in values else values["objective"]
        constraints = Constraints(values["truth_table"], values["monotone"])
        return cls(objective, values["surface"], values["pieces"], constraints)

    def __eq__(self, other: object) -> bool:
        """Equal when every theta means the same curves, and the same objective, in both."""
        return isinstance(other, SearchSpace) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.objective, self.parts))

    def __repr__(self) -> str:
        described = f"{str(self.objective)!r}, {self.surface!r}, {list(self.pieces)}"
        return f"SearchSpace({described}, {self.constraints})"

    @property
    def dim(self) -> int:
        """Number of coordinates d."""
        return sum(part.dim for part in self.parts)

    @property
    def names(self) -> list[str]:
        """A name for each coordinate: ``and.B1.u``, of several targets ``mIoU.and.B1.u``."""
        return [prefix + name for prefix, part in self._prefixed() for name in part.names]

    @property
    def curves(self) -> tuple[str, ...]:
        """A name for each curve: ``and``, of several targets ``mIoU.and``."""
        return tuple(prefix + curve for prefix, part in self._prefixed() for curve in part.curves)

    def _prefixed(self) -> list[tuple[str, CurveSpace]]:
        several = len(self.parts) > 1
        return [(f"{part.target}." if several else "", part) for part in self.parts]

    def identity(self) -> Array:
        """theta (d,) of the identity curves."""
        return np.concatenate([part.identity() for part in self.parts])

    def split(self, theta: ArrayLike) -> list[Array]:
        """The coordinates of each part, in order; ``ValueError`` for another shape than (d,)."""
        flat = np.asarray(theta, dtype=np.float64)
        if flat.shape != (self.dim,):
            raise ValueError(
                f"Expected {self.dim} coordinates for {self.objective}, got shape {flat.shape}."
            )
        return np.split(flat, np.cumsum([part.dim for part in self.parts])[:-1])

    def control_points(self, theta: ArrayLike) -> list[Array]:
        """Map theta (d,) in [0, 1] to G curves (K, 2) in [0, 1], ends included."""
        parts = zip(self.parts, self.split(theta), strict=True)
        return [curve for part, own in parts for curve in part.control_points(own)]

    def theta(self, control_points: Sequence[ArrayLike]) -> Array:
        """Inverse of ``control_points``; ``ValueError`` for curves that are none of this space."""
        if len(control_points) != len(self.curves):
            raise ValueError(
                f"Expected the control points of {len(self.curves)} curves for {self.objective}, "
                f"got {len(control_points)}."
            )
        rest = iter(control_points)
        own = [[next(rest) for _ in part.curves] for part in self.parts]
        return np.concatenate([p.theta(curves) for p, curves in zip(self.parts, own, strict=True)])


def search_space(
    objective: str | Objective,
    surface: str = "bezier",
    pieces: int | Sequence[int] | None = None,
    constraints: Constraints | None = None,
) -> SearchSpace:
    """The search space of an objective or a metric; arguments as ``SearchSpace``."""
    return SearchSpace(objective, surface, pieces, constraints)
