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
        """Learn: thetas (N, D) as asked, in that order, and what each earned, (N,), finite.

        Rows whose evaluation was lost are left out; a round without any other is not told.
        """
        ...


def check_identity(identity: Vector) -> Vector:
    """A float64 copy of identity; ValueError unless it is (D,), D >= 1, in [0, 1]."""
    identity = np.array(identity, dtype=np.float64)
    if identity.ndim != 1 or identity.size == 0:
        raise ValueError(f"identity must have shape (D,) with D >= 1, got {identity.shape}")
    if not bool(np.all((identity >= 0.0) & (identity <= 1.0))):
        raise ValueError(f"identity must lie in [0, 1], got {identity.tolist()}")
    return identity


def check_told(thetas: Vector, scores: Vector, dim: int) -> tuple[Vector, Vector]:
    """Both as float64; ValueError unless (N, dim) and (N,) finite, N >= 1."""
    thetas = np.array(thetas, dtype=np.float64)
    scores = np.array(scores, dtype=np.float64)
    if thetas.shape != (scores.size, dim) or scores.ndim != 1 or scores.size == 0:
        raise ValueError(
            f"tell expects thetas (N, {dim}) and scores (N,), N >= 1; got {thetas.shape} and "
            f"{scores.shape}"
        )
    if not np.isfinite(scores).all():
        raise ValueError(
            f"tell expects finite scores, got {scores.tolist()}; "
            "give a failed candidate rl.proxy.FLOOR_REWARD"
        )
    return thetas, scores
