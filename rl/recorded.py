"""From candidates to results: named and seeded here, taken from the journal or evaluated.

Shapes: N candidates of a round, D search coordinates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from rl.executors.base import Candidate, Executor
from rl.journal import Journal
from rl.proxy import ProxyResult, result_from_json
from rl.records import again_record, candidate_record, candidates_of, replay

MAX_LOST = 0.25
"""The share of a round's evaluations that may be lost, and of the final's; more end a search."""

_HOPELESS = 8
"""So many failures with nothing but failures before them end a search: it would learn nothing."""

_STAGES = {"search": 0, "selection": 1}


class SearchError(RuntimeError):
    """A search that cannot come to anything; the message says why and what to do."""


def candidate_seed(seed: int, stage: str, index: int) -> int:
    """Seed in [0, 2^31) of round `index` ("search"), or of fresh seed `index` ("selection").

    All candidates of a round share one, so they differ by theta only.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(_STAGES[stage], index))
    return int(sequence.generate_state(1)[0]) >> 1


def candidates_of_round(seed: int, index: int, thetas: NDArray[np.float64]) -> list[Candidate]:
    """The candidates of round `index`, thetas (N, D), in the search of this seed."""
    own = candidate_seed(seed, "search", index)
    return [Candidate(f"r{index:02d}c{i:02d}", theta, own) for i, theta in enumerate(thetas)]


class Recorded:
    """What evaluates and what remembers, as one; it counts what came.

    Args:
        executor: evaluates what the journal does not hold.
        journal: open; every new result is written before it is given.
        max_lost: the share of a stage's evaluations, in [0, 1], that may be lost.
    """

    def __init__(self, executor: Executor, journal: Journal, max_lost: float) -> None:
        self.executor, self.journal, self.max_lost = executor, journal, max_lost
        self.known = candidates_of(journal)
        self.evaluations, self.failures, self._reason = 0, 0, ""
        self.lost: list[str] = []

    def begin_stage(self, evaluations: int) -> None:
        """A round or the final, of so many evaluations at full budget."""
        self._size, self._begin = evaluations, len(self.lost)

    def results(
        self, candidates: Sequence[Candidate]
    ) -> Iterator[tuple[Candidate, ProxyResult, bool]]:
        """Each candidate with its result, in order, and whether the journal had it."""
        fresh = self.executor.run([one for one in candidates if one.id not in self.known])
        for candidate in candidates:
            replayed = candidate.id in self.known
            if replayed:
                result = replay(self.journal, self.known[candidate.id], candidate)
            else:
                result = self._take(candidate, *next(fresh))
            yield candidate, result, replayed

    def count(self, candidate: Candidate, result: ProxyResult) -> None:
        """SearchError when it was lost, as one too many of its stage."""
        self.evaluations += 1
        if result.status == "failed":
            self.failures, self._reason = self.failures + 1, result.reason
        if result.status != "lost":
            return
        self.lost.append(candidate.id)
        here = len(self.lost) - self._begin
        if here > self.max_lost * self._size:
            self.let_again()
            raise SearchError(
                f"{here} of {self._size} evaluations were lost, more than the share "
                f"{self.max_lost:g} that may be; the last: {result.reason}. The journal "
                f"{self.journal.path} holds every reason: mend it and resume the search, which "
                "evaluates them again"
            )

    def check_hope(self) -> None:
        """SearchError when there was nothing but failures, of eight evaluations or more."""
        if self.failures == self.evaluations - len(self.lost) >= _HOPELESS:
            raise SearchError(
                f"all of the first {self.failures} evaluations failed, so there is nothing to "
                f"learn from; the last: {self._reason}. The journal {self.journal.path} holds "
                "every reason: mend it, and start again in another output directory"
            )

    def let_again(self) -> None:
        """The search stops over what was lost in this stage: resuming it evaluates that again."""
        if here := self.lost[self._begin :]:
            self.journal.append(again_record(here))

    def _take(self, expected: Candidate, came: Candidate, result: ProxyResult) -> ProxyResult:
        if came.id != expected.id:
            raise RuntimeError(f"expected the executor's result of {expected.id}, got {came.id}")
        record = self.journal.append(candidate_record(expected, result))
        # What was written is what is used: nothing may differ between this run and its replay.
        return result_from_json(record)
