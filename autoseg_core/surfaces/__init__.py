"""Surfaces: parameterised curves on [0, 1] that stand in for AND, OR and XOR.

K: control points of a curve, ends included; (K, 2) tensors of (u, v).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from autoseg_core.surfaces import bezier, linear


@dataclass(frozen=True)
class Surface:
    """A family of curves: how to evaluate one, and how many points it has between its ends.

    ``pieces`` converts curves to quadratic Bezier pieces, (..., K, 2) -> start, middle and end,
    (..., P, 2) each; fast kernels use nothing else of a surface.
    """

    name: str
    value: Callable[[Tensor, Tensor], Tensor]
    slope: Callable[[Tensor, Tensor], Tensor]
    pieces: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
    inner_points_per_piece: int

    def inner_points(self, pieces: int) -> int:
        """Free control points of a curve with ``pieces`` pieces."""
        return self.inner_points_per_piece * pieces - 1

    def pieces_for(self, inner_points: int) -> int:
        """Pieces of a curve with this many free control points; they must make whole pieces."""
        return (inner_points + 1) // self.inner_points_per_piece


SURFACES: dict[str, Surface] = {
    "bezier": Surface("bezier", bezier.value, bezier.slope, bezier.pieces, 2),
    "linear": Surface("linear", linear.value, linear.slope, linear.pieces, 1),
}


def get_surface(name: str) -> Surface:
    """Return the family, or raise ``ValueError``, which lists the known ones."""
    if name not in SURFACES:
        raise ValueError(f"Unknown surface {name!r}; known surfaces: {', '.join(SURFACES)}.")
    return SURFACES[name]


def evaluate_curve(surface: str, points: Tensor, x: Tensor) -> Tensor:
    """Height at ``x`` of the curve with control points (K, 2); see ``bezier.value``."""
    return get_surface(surface).value(points, x)
