"""What a search expects of an agent: ask for thetas, tell it what they earned.

Shapes: N thetas, D search coordinates.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

UNIFORM_DEVIATION = float(np.sqrt(1.0 / 12.0))
"""Standard deviation of a uniform coordinate: the spread of an agent that knows nothing."""


class Agent(Protocol):
    """Ask/tell. Every choice it makes comes from its own generator, seeded in the constructor.

    So its proposals are a function of that seed and of what it is told: a search is resumed by
    leading a new agent through what the journal holds.
    """

    @property
    def mean(self) -> Vector:
        """(D,) float64 in [0, 1]: the agent's present best guess."""
        ...

    @property
    def spread(self) -> Vector:
        """(D,) float64 >= 0: the scale, per coordinate, of what it would propose next."""
        ...

    def ask(self, n: int) -> Vector:
        """Propose (n, D) float64 in [0, 1]. Asking draws from the generator; it learns nothing."""
        ...

    def tell(self, thetas: Vector, scores: Vector) -> None:
        """Learn: thetas (N, D) as asked, in that order, and what each earned, (N,), all float64.

        Rows whose evaluation was lost are left out; a round without any other is not told.
        """
        ...
