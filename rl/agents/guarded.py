"""Anybody's agent at arm's length: what it gives is checked and copied, what it gets is a copy.

An agent may use one array again and again, or write into those it is told; neither may reach
journals, reports or other candidates.

Shapes: N thetas, D search coordinates.
"""

from __future__ import annotations

import numpy as np

from rl.agents.base import Agent, Vector


class Guarded:
    """The agent, with ValueErrors in its name for what is not of the promised shape and range.

    Args:
        agent: anybody's.
        dim: D; None = as its first mean.
    """

    def __init__(self, agent: Agent, dim: int | None = None) -> None:
        self._agent, self._name = agent, type(agent).__name__
        self._dim = np.size(agent.mean) if dim is None else dim

    @property
    def mean(self) -> Vector:
        """(D,) float64 in [0, 1]."""
        mean = self._checked("mean", self._agent.mean, (self._dim,))
        return self._inside("mean", mean)

    @property
    def spread(self) -> Vector:
        """(D,) float64, finite."""
        spread = self._checked("spread", self._agent.spread, (self._dim,))
        if not np.isfinite(spread).all():
            raise ValueError(f"{self._name}.spread must be finite, gave {spread.tolist()}")
        return spread

    def ask(self, n: int) -> Vector:
        """(n, D) float64 in [0, 1]."""
        return self._inside("ask", self._checked(f"ask({n})", self._agent.ask(n), (n, self._dim)))

    def tell(self, thetas: Vector, scores: Vector) -> None:
        """Pass both on."""
        self._agent.tell(thetas.copy(), scores.copy())

    def _checked(self, what: str, values: Vector, shape: tuple[int, ...]) -> Vector:
        array: Vector = np.array(values, dtype=np.float64)
        if array.shape != shape:
            raise ValueError(
                f"{self._name}.{what} must give an array of shape {shape}, gave {array.shape}"
            )
        return array

    def _inside(self, what: str, points: Vector) -> Vector:
        for point in np.atleast_2d(points):
            if not np.all((point >= 0.0) & (point <= 1.0)):  # NaN is not
                raise ValueError(
                    f"{self._name}.{what} must give coordinates in [0, 1], gave {point.tolist()}"
                )
        return points
