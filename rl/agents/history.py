"""Agents around a library: what they were asked and told is their state.

The library's own state is private to it and changes with its versions. A seeded agent is a function
of its seed and of the calls it has seen, so those are what is kept, and loading plays them again.

Shapes: N thetas, D search coordinates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from rl.agents.base import Vector, check_identity, check_told


class HistoryAgent(ABC):
    """Keeps the calls; a subclass says how to begin, propose and learn.

    Loading takes as long as the agent itself has taken, and is exact with the same version of the
    library. The settings of a subclass belong to its constructor, which calls `_begin` at its end.

    Args:
        identity: (D,) in [0, 1].
        seed: of all its choices, >= 0.
    """

    def __init__(self, identity: Vector, *, seed: int) -> None:
        self._identity = check_identity(identity)
        self._seed = seed
        self._history: list[dict[str, Any]] = []

    @abstractmethod
    def _begin(self) -> None:
        """Become as new, from identity, seed and settings."""

    @abstractmethod
    def _propose(self, n: int) -> Vector:
        """What `ask` gives, (n, D)."""

    @abstractmethod
    def _learn(self, thetas: Vector, scores: Vector) -> None:
        """What `tell` does, with thetas (N, D) and scores (N,) that are checked."""

    def ask(self, n: int) -> Vector:
        """(n, D) in [0, 1]; ValueError for n < 1, or an n that the agent cannot give."""
        if n < 1:
            raise ValueError(f"ask needs n >= 1, got {n}")
        thetas = self._propose(n)
        self._history.append({"ask": n})
        return thetas

    def tell(self, thetas: Vector, scores: Vector) -> None:
        """Learn from thetas (N, D) as asked, in that order, and their scores (N,)."""
        thetas, scores = check_told(thetas, scores, self._identity.size)
        self._learn(thetas, scores)
        self._history.append({"thetas": thetas.tolist(), "scores": scores.tolist()})

    def state_dict(self) -> dict[str, Any]:
        """Identity, seed and all calls so far; it grows by N (D + 1) numbers a round."""
        return {
            "identity": self._identity.tolist(),
            "seed": self._seed,
            "history": [dict(call) for call in self._history],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly where the agent that gave `state` was; ValueError for another D."""
        identity = check_identity(np.asarray(state["identity"]))
        if identity.shape != self._identity.shape:
            raise ValueError(
                f"this agent has {self._identity.size} coordinates, the state {identity.size}"
            )
        self._identity, self._seed, self._history = identity, int(state["seed"]), []
        self._begin()
        for call in state["history"]:
            if "ask" in call:
                self.ask(call["ask"])
            else:
                self.tell(call["thetas"], call["scores"])
