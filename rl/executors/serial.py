"""Who evaluates candidates, and the plainest of them: one after the other, in this process.

Shapes: D search coordinates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rl.proxy import ProxyResult, ProxyTask


@dataclass(frozen=True, eq=False)
class Candidate:
    """One evaluation to make: a name unique in its search, theta (D,) in [0, 1], seed, budget."""

    id: str
    theta: NDArray[np.float64]
    seed: int
    budget: float = 1.0


class Executor(Protocol):
    """Evaluates candidates somewhere; results come back in the order of the candidates."""

    def run(self, candidates: Sequence[Candidate]) -> Iterator[tuple[Candidate, ProxyResult]]:
        """Yield (candidate, result) in order, each as soon as it is known.

        Lazily: whoever iterates writes one result down before asking for the next.
        """
        ...


class SerialExecutor:
    """One candidate after the other; the next starts when its result is asked for.

    Exceptions of the task pass through: a candidate that merely blew up returns `failed(...)`.
    """

    def __init__(self, task: ProxyTask) -> None:
        self.task = task

    def run(self, candidates: Sequence[Candidate]) -> Iterator[tuple[Candidate, ProxyResult]]:
        """Yield (candidate, result) in order."""
        for candidate in candidates:
            result = self.task.evaluate(candidate.theta.copy(), candidate.seed, candidate.budget)
            yield candidate, result
