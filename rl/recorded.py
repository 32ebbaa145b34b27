"""From candidates to results: named and seeded here, taken from the journal or evaluated.

Shapes: N candidates of a round, D search coordinates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from rl.executors.base import Candidate, Executor
from rl.journal import EVALUATIONS, Journal, JournalError, Record
from rl.proxy import ProxyResult, result_from_json

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

    The record of an evaluation is {"kind": "candidate", "id", "seed", "theta", "status", "reward",
    "scores", "reason"}; one at a part of the budget has the kind "rung", and its "budget".
    {"kind": "again", "ids"}: a search stopped over these lost evaluations, to be made again.

    Args:
        executor: evaluates what the journal does not hold.
        journal: open; every new result is written before it is given.
        max_lost: the share of a stage's evaluations, in [0, 1], that may be lost.
    """

    def __init__(self, executor: Executor, journal: Journal, max_lost: float) -> None:
        self.executor, self.journal, self.max_lost = executor, journal, max_lost
        self.known: dict[str, Record] = {}
        for record in journal.records:
            if record["kind"] in EVALUATIONS:
                self.known[record["id"]] = record
            for again in record["ids"] if record["kind"] == "again" else ():
                self.known.pop(again, None)
        self.counts: Counter[str] = Counter()
        self._reason = ""  # of the last failure
        self._lost: list[str] = []  # in this stage

    def begin_stage(self, evaluations: int) -> None:
        """A round or the final, of so many evaluations at full budget."""
        self._size, self._lost = evaluations, []

    def results(
        self, candidates: Sequence[Candidate]
    ) -> Iterator[tuple[Candidate, ProxyResult, bool]]:
        """Each candidate with its result, in order, and whether the journal had it.

        SearchError, after the last one that was given, when too many of a stage were lost.
        """
        fresh = self.executor.run([one for one in candidates if one.id not in self.known])
        for candidate in candidates:
            replayed = candidate.id in self.known
            record = self._replay(candidate) if replayed else self._take(candidate, *next(fresh))
            # What was written is what is used: nothing may differ between a run and its replay.
            result = result_from_json(record)
            yield candidate, result, replayed
            self.counts[result.status] += 1
            if result.status == "failed":
                self._reason = result.reason
            if result.status == "lost":
                self._lost.append(candidate.id)
                self._check_lost(result.reason)

    def check_hope(self) -> None:
        """SearchError when there was nothing but failures, of eight evaluations or more."""
        failures = self.counts["failed"]
        if failures >= _HOPELESS and not self.counts["ok"]:
            raise SearchError(
                f"all of the first {failures} evaluations failed, so there is nothing to learn "
                f"from; the last: {self._reason}. The journal {self.journal.path} holds every "
                "reason: mend it, and start again in another output directory"
            )

    def let_again(self) -> None:
        """The search stops over what was lost in this stage: resuming it evaluates that again."""
        if self._lost:
            self.journal.append({"kind": "again", "ids": self._lost})

    def _replay(self, candidate: Candidate) -> Record:
        """The record; JournalError unless theta and seed are what this search asks for."""
        record, asked = self.known[candidate.id], _name(candidate)
        recorded = {key: record.get(key) for key in asked}
        if asked != recorded:
            raise JournalError(
                f"{self.journal.path}: candidate {candidate.id} was recorded with {recorded}, this "
                f"search asks for {asked}. The journal was changed, or code or libraries differ "
                "from those it was written with: resume with those, or start in another output "
                "directory"
            )
        return record

    def _take(self, expected: Candidate, came: Candidate, result: ProxyResult) -> Record:
        if came.id != expected.id:
            raise RuntimeError(f"expected the executor's result of {expected.id}, got {came.id}")
        return self.journal.append({**_name(expected), **asdict(result)})

    def _check_lost(self, reason: str) -> None:
        lost = len(self._lost)
        if lost > self.max_lost * self._size:
            self.let_again()
            raise SearchError(
                f"{lost} of {self._size} evaluations were lost, more than the share "
                f"{self.max_lost:g} that may be; the last: {reason}. The journal "
                f"{self.journal.path} holds every reason: mend it and resume the search, which "
                "evaluates them again"
            )


def _name(candidate: Candidate) -> Record:
    """What a record says of an evaluation before its result."""
    name = {"kind": "candidate", "id": candidate.id, "seed": candidate.seed}
    if candidate.budget < 1.0:
        name |= {"kind": "rung", "budget": candidate.budget}
    return {**name, "theta": candidate.theta.tolist()}
