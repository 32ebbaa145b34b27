"""What a search expects of an executor: candidates in, results back in their order.

Shapes: D search coordinates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rl.proxy import ProxyResult


class ExecutorError(RuntimeError):
    """Nothing can be evaluated, whatever the candidate: workers that cannot start, no room."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """One evaluation to make: a name unique in its search, theta (D,) in [0, 1], seed, budget."""

    id: str
    theta: NDArray[np.float64]
    seed: int
    budget: float = 1.0


class Executor(Protocol):
    """Evaluates candidates somewhere. Use it in a with statement, or close it."""

    def run(self, candidates: Sequence[Candidate]) -> Iterator[tuple[Candidate, ProxyResult]]:
        """Yield (candidate, result) in order, each as soon as it and all before it are known.

        Lazily: whoever iterates writes one result down before asking for the next. May be called
        again and again; a call ends what is left of the one before. An evaluation that raised or
        took too long gives a lost result, see `rl.executors.attempts`; a data error is raised.

        Raises ValueError at once when two candidates have one id.
        """
        ...

    def close(self) -> None:
        """Let go of processes and the like; a second call does nothing."""
        ...

    def __enter__(self) -> Executor: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def check_ids(candidates: Sequence[Candidate]) -> None:
    """ValueError when an id comes twice: results are keyed by it."""
    twice = [name for name, n in Counter(one.id for one in candidates).items() if n > 1]
    if twice:
        raise ValueError(
            f"candidates need ids of their own, got more than one of: {', '.join(sorted(twice))}"
        )
