"""Rewards without what all candidates of a round have in common, by the identity among them.

Shapes: N thetas of a round, D search coordinates.
"""

from __future__ import annotations

import numpy as np

from rl.agents.base import Agent, Vector


class Paired:
    """The agent, told gains: score minus the identity's, which is row 0 of every round.

    Candidates of a round share seed and data, and so a part of their error. An agent that compares
    candidates of different rounds takes that part for skill. It costs one evaluation per round,
    and adds the identity's own error in exchange.

    Args:
        agent: asked for one theta less.
        identity: (D,), the reference.
    """

    def __init__(self, agent: Agent, identity: Vector) -> None:
        self._agent, self._identity = agent, identity

    @property
    def mean(self) -> Vector:
        """(D,): the agent's."""
        return self._agent.mean

    @property
    def spread(self) -> Vector:
        """(D,): the agent's."""
        return self._agent.spread

    def ask(self, n: int) -> Vector:
        """(n, D): the identity, and n - 1 of the agent's."""
        return np.concatenate([self._identity[None], self._agent.ask(n - 1)])

    def tell(self, thetas: Vector, scores: Vector) -> None:
        """Pass the gains on, (N - 1,) in [-1, 1]; nothing of a round whose identity was lost."""
        if len(thetas) > 1 and np.array_equal(thetas[0], self._identity):
            self._agent.tell(thetas[1:], scores[1:] - scores[0])
