"""The loop: agent x executor x journal. No side effect but the journal's; callbacks hold the rest.

Resuming is replaying: the loop always runs from the start with the same seeded agent, and takes
what the journal knows instead of evaluating it. So there is one path through the code, and a search
killed at any instant ends as if it had never been.

Shapes: N candidates of a round, D search coordinates.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rl.agents.base import Agent
from rl.agents.guarded import Guarded
from rl.agents.paired import Paired
from rl.callbacks import Callback
from rl.events import (
    CandidateEvent,
    RoundEvent,
    SearchResult,
    SearchSettings,
    SearchStart,
    SelectionEvent,
)
from rl.executors.base import Candidate, Executor
from rl.halving import climb, told_rewards
from rl.journal import Journal, Record
from rl.proxy import ProxyResult
from rl.recorded import MAX_LOST, Recorded, SearchError, candidate_seed, candidates_of_round
from rl.records import result_record, round_record, stopped_record
from rl.selection import NoVerdictError, Selection, choose_finalists, race
from rl.signals import uninterrupted

__all__ = ["SearchError", "SearchResult", "SearchSettings", "candidate_seed", "run_search"]

Evaluated = tuple[Candidate, ProxyResult]


def run_search(
    agent: Agent,
    executor: Executor,
    journal: Journal,
    settings: SearchSettings,
    callbacks: Sequence[Callback] = (),
    *,
    identity: NDArray[np.float64] | None = None,
    max_lost: float = MAX_LOST,
    clock: Callable[[], float] = time.monotonic,
) -> SearchResult:
    """Search, then choose among mean, identity and the best by fresh seeds.

    A failed evaluation is told to the agent with the floor reward. A lost one is not told: the
    agent gets fewer rows than it asked for, and nothing of a round without any. A search that stops
    over lost evaluations makes those of its last round again when resumed.

    Args:
        agent: freshly made, also when resuming: it is led again through what the journal holds, so
            equal scores must lead it to equal proposals.
        executor: evaluates what the journal does not hold.
        journal: open, new or resumed. Its header should pin all that the outcome depends on.
        settings: length, seed and final.
        callbacks: told of everything, replayed or new; closed at the end, also after an error.
        identity: (D,) theta of the identity surface; None = the agent's first mean.
        max_lost: the share, in [0, 1], of a round's `samples`, or of the final's evaluations, that
            may be lost.
        clock: seconds, for the limit of `settings.minutes`. With one, the journal holds what the
            rounds took, and a resumed search goes on from there. A round that was interrupted
            counts from where it is taken up again.

    Raises:
        JournalError: the journal holds another search's candidates.
        SearchError: more than max_lost were lost, or every candidate failed, eight or more of
            them, from the first on.
        NoVerdictError: the final leaves nothing to compare, see `rl.selection.race`.
        OSError, or one of the task's `data_errors`: a file is missing or wrong.
        ValueError: what the agent gave has another shape, or leaves [0, 1].
        Whatever an executor or callback raises: the journal stays resumable.
    """
    told = partial(_tell, callbacks)
    try:
        guarded = Guarded(agent, None if identity is None else len(identity))
        start = guarded.mean if identity is None else np.array(identity, dtype=np.float64)
        if settings.paired:
            guarded = Guarded(Paired(guarded, start))
        recorded = Recorded(executor, journal, max_lost)
        return _Search(guarded, recorded, settings, told, start, clock).run()
    finally:
        told("close")


class _Search:
    """The state of one run: what the journal knew, and what has been seen so far."""

    def __init__(
        self,
        agent: Guarded,
        recorded: Recorded,
        settings: SearchSettings,
        tell: Callable[..., None],
        identity: NDArray[np.float64],
        clock: Callable[[], float],
    ) -> None:
        self.agent, self.recorded, self.journal = agent, recorded, recorded.journal
        self.settings, self.tell, self.identity = settings, tell, identity
        self.clock, self.seconds = clock, 0.0
        self.written = {_key(record): record for record in self.journal.records}
        self.seen: list[tuple[str, NDArray[np.float64], float]] = []
        self.best: Evaluated | None = None

    def run(self) -> SearchResult:
        agent, known = self.agent, len(self.recorded.known)
        start = SearchStart(self.settings, self.identity, agent.mean, agent.spread, known)
        self.tell("on_start", start)
        for index in range(self.settings.rounds):
            self._round(index)
            if self.settings.time_is_over(index + 1, self.seconds):
                break
        return self._finish(self._select(index + 1))

    def _round(self, index: int) -> None:
        begin = self.clock()
        thetas = self.agent.ask(self.settings.samples)
        candidates = candidates_of_round(self.settings.seed, index, thetas)
        self.recorded.begin_stage(self.settings.samples)
        paired = int(self.settings.paired)
        ends = climb(candidates, self.settings.rungs, self._evaluate, never_stopped=paired)
        rewards = np.array(told_rewards(ends))
        known = ~np.isnan(rewards)
        if known.any():
            self.agent.tell(thetas[known], rewards[known])
        reference = rewards[0] if paired else 0.0
        for candidate, end, reward in zip(candidates, ends, rewards, strict=True):
            if end.evaluation.budget < 1.0:
                self._write_once(stopped_record(candidate.id, end, float(reward)))
            elif end.status == "ok" and not math.isnan(reference):
                self.seen.append((candidate.id, candidate.theta, float(reward - reference)))
        how = Counter(end.status for end in ends)
        written = self.written.get(("round", index, None), {})
        self.seconds = written.get("seconds", self.seconds + self.clock() - begin)
        event = RoundEvent(
            index,
            self.agent.mean,
            self.agent.spread,
            thetas[known],
            rewards[known],
            failures=how["failed"],
            stopped=how["stopped"],
            lost=how["lost"],
            best=self.best,
            seconds=self.seconds,
        )
        self._write_once(round_record(event, timed=self.settings.minutes > 0.0))
        self.tell("on_round", event)
        self.recorded.check_hope()

    def _select(self, rounds: int) -> Selection:
        finalists = choose_finalists(self.agent.mean, self.identity, self.seen, self.settings.top_k)
        self.tell("on_selection", SelectionEvent(tuple(finalists), rounds))
        self.recorded.begin_stage(len(finalists) * self.settings.reseeds)

        def evaluate(seed: int, running: Sequence[int]) -> list[ProxyResult]:
            own = candidate_seed(self.settings.seed, "selection", seed)
            candidates = [
                Candidate(f"s00c{i:02d}m{seed}", finalists[i].theta, own) for i in running
            ]
            return [result for _, result in self._evaluate(candidates, final=True)]

        try:
            return race(finalists, self.settings.reseeds, evaluate)
        except NoVerdictError:
            self.recorded.let_again()
            raise

    def _finish(self, selection: Selection) -> SearchResult:
        winner = selection.winner
        result = SearchResult(
            winner.finalist.theta,
            winner.mean,
            self.agent.mean,
            selection,
            self.recorded.evaluations,
            self.recorded.failures,
            len(self.recorded.lost),
        )
        self._write_once(result_record(result))
        self.tell("on_finish", result)
        return result

    def _evaluate(
        self, candidates: Sequence[Candidate], final: bool = False
    ) -> Iterator[Evaluated]:
        """Each candidate with its result, in order; callbacks are told."""
        for candidate, result, replayed in self.recorded.results(candidates):
            stage, step = _stage(candidate, final), self.recorded.evaluations
            if stage == "search":
                self._remember(candidate, result)
            event = CandidateEvent(stage, step, candidate, result, replayed, self.best)
            self.tell("on_candidate", event)
            self.recorded.count(candidate, result)
            yield candidate, result

    def _remember(self, candidate: Candidate, result: ProxyResult) -> None:
        if result.status == "ok" and (self.best is None or result.reward > self.best[1].reward):
            self.best = candidate, result

    def _write_once(self, record: Record) -> None:
        if _key(record) not in self.written:
            self.written[_key(record)] = self.journal.append(record)


def _tell(callbacks: Sequence[Callback], name: str, *event: Any) -> None:
    # A signal that asks to stop waits for the last: writers of files have threads and locks of
    # their own, and an exception before a lock is given back would leave them waiting for ever.
    with uninterrupted():
        for callback in callbacks:
            getattr(callback, name)(*event)


def _stage(candidate: Candidate, final: bool) -> Literal["search", "rung", "selection"]:
    if final:
        return "selection"
    return "search" if candidate.budget == 1.0 else "rung"


def _key(record: Record) -> tuple[Any, ...]:
    """What a record is about: there is one of each in a journal."""
    return record["kind"], record.get("round"), record.get("id")
