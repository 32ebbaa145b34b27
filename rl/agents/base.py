"""The ask/tell interface that a search expects of an agent.

Shapes: N thetas, D search coordinates.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

UNIFORM_DEVIATION = float(np.sqrt(1.0 / 12.0))
"""Standard deviation of a uniform coordinate: the spread of an untrained agent."""


class Agent(Protocol):
    """Ask/tell. Every choice it makes comes from its own generator, seeded in the constructor.

    So its proposals are a function of that seed and of what it is told: a search is resumed by
    replaying the journal to a new agent. Made by ``cls(identity, seed=..., rounds=..., **options)``
    with the identity's theta (D,) and the length of the search.
    """

    @property
    def mean(self) -> Vector:
        """(D,) float64 in [0, 1]: the agent's current best guess."""
        ...

    @property
    def spread(self) -> Vector:
        """(D,) float64 >= 0: the scale, per coordinate, of the next proposals."""
        ...

    def ask(self, n: int) -> Vector:
        """Propose (n, D) float64 in [0, 1]. Asking draws from the generator but does not learn."""
        ...

    def tell(self, thetas: Vector, scores: Vector) -> None:
        """Learn from thetas (N, D), in the order asked, and the score of each, (N,), all float64.

        Rows of lost evaluations are left out; a round without any other is not told.
        """
        ...
