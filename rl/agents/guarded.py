"""An agent whose arrays are checked and copied, in both directions.

An agent may use one array again and again, or write into those it is told; neither may reach
journals, reports or other candidates. This is the one place where proposals are checked.

Shapes: N thetas, D search coordinates.
"""

from __future__ import annotations

import numpy as np

from rl.agents.base import Agent, Vector


class Guarded:
    """The agent; ValueError in its name for what is not of the promised shape and range.

    Args:
        agent: any agent.
        dim: D; None = as its first mean.
    """

    def __init__(self, agent: Agent, dim: int | None = None) -> None:
        self._agent, self._name = agent, type(agent).__name__
        self._dim = np.size(agent.mean) if dim is None else dim

    @property
    def mean(self) -> Vector:
        """(D,) float64 in [0, 1]."""
        return self._checked("mean", self._agent.mean, (self._dim,), 1.0)

    @property
    def spread(self) -> Vector:
        """(D,) float64 >= 0, finite."""
        return self._checked("spread", self._agent.spread, (self._dim,), np.finfo(float).max)

    def ask(self, n: int) -> Vector:
        """(n, D) float64 in [0, 1]."""
        return self._checked(f"ask({n})", self._agent.ask(n), (n, self._dim), 1.0)

    def tell(self, thetas: Vector, scores: Vector) -> None:
        """Pass both on."""
        self._agent.tell(thetas.copy(), scores.copy())

    def _checked(self, what: str, values: Vector, shape: tuple[int, ...], most: float) -> Vector:
        array: Vector = np.array(values, dtype=np.float64)
        if array.shape != shape:
            raise ValueError(
                f"{self._name}.{what} must give an array of shape {shape}, gave {array.shape}"
            )
        wrong = array[~((array >= 0.0) & (array <= most))]  # NaN is wrong
        if wrong.size:
            raise ValueError(
                f"{self._name}.{what} must give numbers in [0, {most:g}], gave {wrong.tolist()}"
            )
        return array
