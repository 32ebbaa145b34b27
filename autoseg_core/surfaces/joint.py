"""The search space of an objective: the spaces of its metrics, one after the other.

d: coordinates of all metrics; G: curves of all metrics; K: control points of a curve, ends
included, which may differ from metric to metric.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from autoseg_core.objective import Objective
from autoseg_core.surfaces.space import Array, Constraints, SearchSpace


class JointSpace:
    """Coordinates of the surrogates of several metrics, of which an objective is made.

    objective: text or ``Objective``; each of its targets has curves, its constraints have none.
    surface, constraints: of all curves. pieces: of all curves, or a number for each target; None =
    each metric's default. Raises ``ValueError`` as ``SearchSpace`` and ``Objective.parse`` do.
    """

    def __init__(
        self,
        objective: str | Objective,
        surface: str = "bezier",
        pieces: int | Sequence[int] | None = None,
        constraints: Constraints | None = None,
    ) -> None:
        self.objective = Objective.parse(str(objective))
        targets = self.objective.targets
        if not isinstance(pieces, Sequence):
            pieces = [pieces] * len(targets)  # type: ignore[list-item]
        if len(pieces) != len(targets):
            raise ValueError(
                f"Expected a number of pieces for each of {', '.join(targets)}, got {pieces}."
            )
        self.constraints = constraints or Constraints()
        self.parts = tuple(
            SearchSpace(metric, surface, count, self.constraints)
            for metric, count in zip(targets, pieces, strict=True)
        )
        self.surface = self.parts[0].surface

    def to_dict(self) -> dict[str, Any]:
        """What makes this space, in plain JSON values; ``from_dict`` makes it again."""
        return {
            "objective": str(self.objective),
            "surface": self.surface,
            "pieces": [part.pieces for part in self.parts],
            "truth_table": self.constraints.truth_table,
            "monotone": self.constraints.monotone,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> JointSpace:
        """Inverse of ``to_dict``; raises ``KeyError`` for a missing value, ``ValueError``."""
        constraints = Constraints(values["truth_table"], values["monotone"])
        return cls(values["objective"], values["surface"], values["pieces"], constraints)

    def __eq__(self, other: object) -> bool:
        """Equal when every theta means the same curves, and the same objective, in both."""
        return isinstance(other, JointSpace) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.objective, self.parts))

    def __repr__(self) -> str:
        pieces = [part.pieces for part in self.parts]
        return (
            f"JointSpace({str(self.objective)!r}, {self.surface!r}, {pieces}, {self.constraints})"
        )

    @property
    def dim(self) -> int:
        """Number of coordinates d."""
        return sum(part.dim for part in self.parts)

    @property
    def names(self) -> list[str]:
        """One name a coordinate, such as ``mIoU.and.B1.u``, in the order of theta."""
        return [f"{part.metric}.{name}" for part in self.parts for name in part.names]

    @property
    def curves(self) -> tuple[str, ...]:
        """One name a curve, such as ``mIoU.and``."""
        return tuple(f"{part.metric}.{curve}" for part in self.parts for curve in part.curves)

    def identity(self) -> Array:
        """theta (d,) of the identity curves."""
        return np.concatenate([part.identity() for part in self.parts])

    def split(self, theta: ArrayLike) -> list[Array]:
        """The coordinates of each part, in order."""
        flat = np.asarray(theta, dtype=np.float64)
        if flat.shape != (self.dim,):
            raise ValueError(
                f"Expected {self.dim} coordinates for {self.objective}, got shape {flat.shape}."
            )
        return np.split(flat, np.cumsum([part.dim for part in self.parts])[:-1])

    def control_points(self, theta: ArrayLike) -> list[Array]:
        """Map theta (d,) in [0, 1] to G arrays (K, 2) in [0, 1], one a curve, ends included."""
        parts = zip(self.parts, self.split(theta), strict=True)
        return [curve for part, own in parts for curve in part.control_points(own)]

    def theta(self, control_points: Sequence[ArrayLike]) -> Array:
        """Inverse of ``control_points``; ``ValueError`` as from ``SearchSpace.theta``."""
        if len(control_points) != len(self.curves):
            raise ValueError(
                f"Expected the control points of {len(self.curves)} curves for {self.objective}, "
                f"got {len(control_points)}."
            )
        rest, thetas = list(control_points), []
        for part in self.parts:
            own, rest = rest[: len(part.curves)], rest[len(part.curves) :]
            thetas.append(part.theta(np.stack([np.asarray(curve) for curve in own])))
        return np.concatenate(thetas)


Space = SearchSpace | JointSpace


def search_space(
    objective: str,
    surface: str = "bezier",
    pieces: int | None = None,
    constraints: Constraints | None = None,
) -> Space:
    """The space of an objective's text: ``SearchSpace`` for a metric alone, else ``JointSpace``."""
    parsed = Objective.parse(objective)
    if str(parsed) == parsed.targets[0]:
        return SearchSpace(parsed.targets[0], surface, pieces, constraints)
    return JointSpace(parsed, surface, pieces, constraints)


def space_from_dict(values: Mapping[str, Any]) -> Space:
    """Inverse of both spaces' ``to_dict``."""
    kind = JointSpace if "objective" in values else SearchSpace
    return kind.from_dict(values)
