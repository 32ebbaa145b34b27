"""From candidates to results: they get ids and seeds, and come from the journal or are evaluated.

Shapes: N candidates of a round, D search coordinates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import numpy as np

from rl.executors.base import Candidate, Executor
from rl.journal import EVALUATIONS, Journal, JournalError, Record
from rl.proxy import ProxyResult, result_from_json
from rl.settings_diff import differences

MAX_LOST = 0.25
"""The share of a round's or the final's evaluations that may be lost; more end a search."""

_HOPELESS = 8
"""A search ends if its first evaluations, this many or more, all failed: it cannot learn."""

_STAGES = {"search": 0, "selection": 1}


class SearchError(RuntimeError):
    """A search that cannot succeed; the message says why and what to do."""


def candidate_seed(seed: int, stage: str, index: int) -> int:
    """Seed in [0, 2^31) of round `index` ("search"), or of fresh seed `index` ("selection").

    All candidates of a round share one, so they differ only in theta.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(_STAGES[stage], index))
    return int(sequence.generate_state(1)[0]) >> 1


class Recorded:
    """Executor and journal combined; it counts the results.

    The record of an evaluation is {"kind": "candidate", "id", "seed", "theta", "status", "reward",
    "scores", "reason"}; one at a part of the budget has the kind "rung", and its "budget".
    {"kind": "again", "ids"}: a search stopped over these lost evaluations, to be made again.

    Args:
        executor: evaluates candidates that are not in the journal.
        journal: open; every new result is written before it is yielded.
        max_lost: the share of a stage's evaluations, in [0, 1], that may be lost.
    """

    def __init__(self, executor: Executor, journal: Journal, max_lost: float) -> None:
        self.executor, self.journal, self.max_lost = executor, journal, max_lost
        self.known: dict[str, Record] = {}
        self._written: dict[tuple[str, int | None], Record] = {}  # rounds and result, once each
        for record in journal.records:
            if record["kind"] in EVALUATIONS:
                self.known[record["id"]] = record
            else:
                self._written[record["kind"], record.get("round")] = record
            for again in record["ids"] if record["kind"] == "again" else ():
                self.known.pop(again, None)
        self.counts: Counter[str] = Counter()
        self._reason = ""  # reason of the last failure
        self._lost: list[str] = []  # in this stage

    def begin_stage(self, evaluations: int) -> None:
        """Start a round or the final, with this many evaluations at full budget."""
        self._size, self._lost = evaluations, []

    def results(
        self, candidates: Sequence[Candidate]
    ) -> Iterator[tuple[Candidate, ProxyResult, bool]]:
        """Each candidate with its result, in order, and whether the journal had it.

        SearchError, after the last one was yielded, if too many of a stage were lost.
        """
        fresh = iter(self.executor.run([one for one in candidates if one.id not in self.known]))
        for candidate in candidates:
            replayed = candidate.id in self.known
            if replayed:
                record = self._replay(candidate)
            else:
                record = self.journal.append({**_name(candidate), **asdict(next(fresh))})
            # Use what was written: nothing may differ between a run and its replay.
            result = result_from_json(record)
            yield candidate, result, replayed
            self.counts[result.status] += 1
            if result.status != "ok":
                self._reason = result.reason
            if result.status == "lost":
                self._lost.append(candidate.id)
                self._check_lost()

    def write_once(self, record: Record) -> Record:
        """The record of this kind and round: from the journal, or else this one, written to it."""
        key = record["kind"], record.get("round")
        if key not in self._written:
            self._written[key] = self.journal.append(record)
        return self._written[key]

    def check_hope(self) -> None:
        """SearchError if all evaluations so far failed, eight or more."""
        if self.counts["failed"] >= _HOPELESS and not self.counts["ok"]:
            self.give_up()

    def give_up(self) -> None:
        """Raise SearchError: no candidate has a reward, or with PAIRED a gain."""
        self.let_again()
        failed, lost = self.counts["failed"], self.counts["lost"]
        raise SearchError(
            f"no candidate can be compared: of the first {self.counts.total()} evaluations "
            f"{failed} failed and {lost} were lost; the last reason: {self._reason}. "
            f"The journal {self.journal.path} holds all reasons. Resuming the search repeats lost "
            "evaluations. If they failed, a lower learning rate or better start weights often "
            "help, in another output directory"
        )

    def let_again(self) -> None:
        """Record the lost evaluations of this stage, so that resuming repeats them."""
        if self._lost:
            self.journal.append({"kind": "again", "ids": self._lost})

    def _replay(self, candidate: Candidate) -> Record:
        """The record; JournalError unless theta and seed match this search."""
        record, asked = self.known[candidate.id], _name(candidate)
        recorded = {key: record.get(key) for key in asked}
        if asked != recorded:
            rows = differences(_by_coordinate(recorded), _by_coordinate(asked))
            raise JournalError(
                f"{self.journal.path}: the record of candidate {candidate.id} differs from this "
                f"search's values (recorded -> asked): {rows[0]}; {len(rows)} values differ. "
                "The journal was changed, or code or libraries differ from those that wrote it: "
                "resume with those, or start in another output directory"
            )
        return record

    def _check_lost(self) -> None:
        lost = len(self._lost)
        if lost > self.max_lost * self._size:
            self.let_again()
            raise SearchError(
                f"{lost} of {self._size} evaluations were lost, more than the allowed share "
                f"{self.max_lost:g}; the last reason: {self._reason}. {self.journal.path} holds "
                "all reasons: fix the cause and resume the search, which repeats them"
            )


def _name(candidate: Candidate) -> Record:
    name = {"kind": "candidate", "id": candidate.id, "seed": candidate.seed}
    if candidate.budget < 1.0:
        name |= {"kind": "rung", "budget": candidate.budget}
    return {**name, "theta": candidate.theta.tolist()}


def _by_coordinate(name: Record) -> Record:
    return {**name, "theta": dict(enumerate(name["theta"]))}
