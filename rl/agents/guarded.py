"""A wrapper of agents for searches: arrays are checked and copied; it may be told gains.

Shapes: N thetas, D search coordinates.
"""

from __future__ import annotations

import numpy as np

from rl.agents.base import Agent, Vector
from rl.arrays import checked_array


class Guarded:
    """The agent; ValueError, with its name, for arrays of the wrong shape or range.

    An agent may reuse one array, or write into those it is told; neither affects journals, reports
    or other candidates.

    With a reference, row 0 of every round is the reference, the agent is asked for one theta less,
    and it is told gains: score minus the reference's. Candidates of a round share seed and data,
    and so part of their error, which an agent that compares rounds mistakes for quality. The price
    is one evaluation per round, and the reference's own error.

    Args:
        agent: any agent.
        dim: D; None = as its first mean.
        reference: (D,) in [0, 1], the identity; None = tell the scores.
    """

    def __init__(
        self, agent: Agent, dim: int | None = None, reference: Vector | None = None
    ) -> None:
        self._agent, self._name, self._reference = agent, type(agent).__name__, reference
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
        if self._reference is None:
            return self._proposed(n)
        return np.concatenate([self._reference[None], self._proposed(n - 1)])

    def tell(self, thetas: Vector, scores: Vector) -> None:
        """Pass on scores or gains; nothing for a round whose reference was lost."""
        if self._reference is not None:
            if len(thetas) < 2 or not np.array_equal(thetas[0], self._reference):
                return
            thetas, scores = thetas[1:], scores[1:] - scores[0]
        self._agent.tell(thetas.copy(), scores.copy())

    def _proposed(self, n: int) -> Vector:
        return self._checked(f"ask({n})", self._agent.ask(n), (n, self._dim), 1.0)

    def _checked(self, what: str, values: Vector, shape: tuple[int, ...], most: float) -> Vector:
        return checked_array(f"{self._name}.{what}", values, shape, 0.0, most)
