"""The executor interface that a search expects: candidates in, results back in order.

Shapes: D search coordinates.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rl.proxy import ProxyResult


class ExecutorError(RuntimeError):
    """No candidate can be evaluated: no cluster, no room, no task."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """One evaluation: an id unique in its search, theta (D,) in [0, 1], seed, budget."""

    id: str
    theta: NDArray[np.float64]
    seed: int
    budget: float = 1.0


class Executor(AbstractContextManager["Executor"]):
    """Maps candidates to results. Use it in a with statement, or close it."""

    @abstractmethod
    def run(self, candidates: Sequence[Candidate]) -> Iterator[ProxyResult]:
        """Yield the results in order, each as soon as it and all before it are known.

        Lazy: the caller records one result before requesting the next. May be called repeatedly.
        An evaluation that raised or took too long gives a lost result, see
        `rl.executors.serial`; a data error is raised.
        """

    def close(self) -> None:
        """Release processes and other resources; a second call does nothing."""

    def __exit__(self, *error: object) -> None:
        self.close()
