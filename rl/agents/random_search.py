"""Uniform random search: the baseline that every agent has to beat.

Shapes: N thetas, D search coordinates.
"""

from __future__ import annotations

import numpy as np

from rl.agents.base import UNIFORM_DEVIATION, Vector


class RandomSearch:
    """Uniform on the cube; its mean is the best theta seen (the identity before the first tell).

    Args:
        identity: (D,) in [0, 1].
        seed: of its generator.
        rounds: length of the search; not used.
    """

    def __init__(self, identity: Vector, *, seed: int, rounds: int | None = None) -> None:
        self._best = identity.copy()
        self._best_score: float | None = None
        self._generator = np.random.default_rng(seed)

    @property
    def mean(self) -> Vector:
        """(D,): the best theta seen; the first of equals."""
        return self._best.copy()

    @property
    def spread(self) -> Vector:
        """(D,): the standard deviation of a uniform coordinate."""
        return np.full_like(self._best, UNIFORM_DEVIATION)

    def ask(self, n: int) -> Vector:
        """(n, D) uniform in [0, 1)."""
        return self._generator.random((n, self._best.size))

    def tell(self, thetas: Vector, scores: Vector) -> None:
        """Remember the best."""
        top = int(np.argmax(scores))
        if self._best_score is None or scores[top] > self._best_score:
            self._best, self._best_score = thetas[top].copy(), float(scores[top])
