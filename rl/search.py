"""The loop: agent x executor x journal. No side effect but the journal's; callbacks hold the rest.

Resuming is replaying: the loop always runs from the start with the same seeded agent, and takes
what the journal knows instead of evaluating it. So there is one path through the code, and a search
killed at any instant ends as if it had never been.

Shapes: N candidates of a round, D search coordinates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rl.agents.base import Agent
from rl.agents.guarded import Guarded
from rl.callbacks import Callback, CallbackList
from rl.events import (
    CandidateEvent,
    RoundEvent,
    SearchResult,
    SearchSettings,
    SearchStart,
    SelectionEvent,
)
from rl.executors.base import Candidate, Executor
from rl.halving import Ended, climb, told_rewards
from rl.journal import Journal, Record
from rl.proxy import ProxyResult, result_from_json
from rl.records import (
    again_record,
    candidate_record,
    candidates_of,
    replay,
    result_record,
    round_record,
    stopped_record,
)
from rl.selection import NoVerdictError, Selection, choose_finalists, select

__all__ = ["SearchError", "SearchResult", "SearchSettings", "candidate_seed", "run_search"]

_STAGES = {"search": 0, "selection": 1}

MAX_LOST = 0.25
"""The share of a round's evaluations that may be lost, and of the final's; more end a search."""

_HOPELESS = 8
"""So many failures with nothing but failures before them end a search: it would learn nothing."""

Evaluated = tuple[Candidate, ProxyResult]


class SearchError(RuntimeError):
    """A search that cannot come to anything; the message says why and what to do."""


def candidate_seed(seed: int, stage: str, index: int) -> int:
    """Seed in [0, 2^31) of round `index` ("search"), or of fresh seed `index` ("selection").

    All candidates of a round share one, so they differ by theta only.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(_STAGES[stage], index))
    return int(sequence.generate_state(1)[0]) >> 1


def run_search(
    agent: Agent,
    executor: Executor,
    journal: Journal,
    settings: SearchSettings,
    callbacks: Sequence[Callback] = (),
    *,
    identity: NDArray[np.float64] | None = None,
    max_lost: float = MAX_LOST,
) -> SearchResult:
    """Search, then choose among mean, identity and the best by fresh seeds.

    A failed evaluation is told to the agent with the floor reward. A lost one is not told: the
    agent gets fewer rows than it asked for, and nothing of a round without any. A search that stops
    over lost evaluations makes those of its last round again when resumed.

    Args:
        agent: freshly made, also when resuming: it is led again through what the journal holds, so
            equal scores must lead it to equal proposals. `state_dict` is not used.
        executor: evaluates what the journal does not hold.
        journal: open, new or resumed. Its header should pin all that the outcome depends on.
        settings: length, seed and final.
        callbacks: told of everything, replayed or new; closed at the end, also after an error.
        identity: (D,) theta of the identity surface; None = the agent's first mean.
        max_lost: the share, in [0, 1], of a round's `samples`, or of the final's evaluations, that
            may be lost.

    Raises:
        JournalError: the journal holds another search's candidates.
        SearchError: more than max_lost were lost, or every candidate failed, eight or more of
            them, from the first on.
        NoVerdictError: the final leaves nothing to compare, see `rl.selection.select`.
        OSError, or one of the task's `data_errors`: a file is missing or wrong.
        ValueError: what the agent gave has another shape, or leaves [0, 1].
        Whatever an executor or callback raises: the journal stays resumable.
    """
    told = CallbackList(callbacks)
    try:
        guarded = Guarded(agent, None if identity is None else len(identity))
        start = guarded.mean if identity is None else np.array(identity, dtype=np.float64)
        return _Search(guarded, executor, journal, settings, told, start, max_lost).run()
    finally:
        told.close()


class _Search:
    """The state of one run: what the journal knew, and what has been seen so far."""

    def __init__(
        self,
        agent: Guarded,
        executor: Executor,
        journal: Journal,
        settings: SearchSettings,
        callbacks: CallbackList,
        identity: NDArray[np.float64],
        max_lost: float,
    ) -> None:
        self.agent, self.executor, self.journal = agent, executor, journal
        self.settings, self.callbacks, self.identity = settings, callbacks, identity
        self.max_lost = max_lost
        self.known = candidates_of(journal)
        self.written = set(map(_key, journal.records))
        self.seen: list[Evaluated] = []
        self.best: Evaluated | None = None
        self.evaluations = self.failures = 0
        self.lost: list[str] = []

    def run(self) -> SearchResult:
        agent = self.agent
        self.callbacks.on_start(
            SearchStart(self.settings, self.identity, agent.mean, agent.spread, len(self.known))
        )
        for index in range(self.settings.rounds):
            self._round(index)
        return self._finish(self._select())

    def _round(self, index: int) -> None:
        thetas = self.agent.ask(self.settings.samples)
        seed = candidate_seed(self.settings.seed, "search", index)
        candidates = [
            Candidate(f"r{index:02d}c{i:02d}", theta, seed) for i, theta in enumerate(thetas)
        ]
        self._begin_stage(self.settings.samples)
        ends = climb(candidates, self.settings.rungs, self.settings.keep, self._evaluate)
        rewards = np.array(told_rewards(ends))
        known = ~np.isnan(rewards)
        if known.any():
            self.agent.tell(thetas[known], rewards[known])
        for candidate, end, reward in zip(candidates, ends, rewards, strict=True):
            if end.evaluation.budget < 1.0:
                self._write_once(stopped_record(candidate.id, end, float(reward)))
        self._close_round(index, thetas[known], rewards[known], Counter(end.status for end in ends))
        self._check_hope(ends)

    def _close_round(
        self,
        index: int,
        thetas: NDArray[np.float64],
        rewards: NDArray[np.float64],
        ends: Counter[str],
    ) -> None:
        event = RoundEvent(
            index,
            self.agent.mean,
            self.agent.spread,
            thetas,
            rewards,
            failures=ends["failed"],
            stopped=ends["stopped"],
            lost=ends["lost"],
            best=self.best,
        )
        self._write_once(round_record(event))
        self.callbacks.on_round(event)

    def _begin_stage(self, evaluations: int) -> None:
        """A round or the final, of so many evaluations at full budget."""
        self.stage_size, self.stage_begin = evaluations, len(self.lost)

    def _check_lost(self, last: ProxyResult) -> None:
        here = len(self.lost) - self.stage_begin
        if here > self.max_lost * self.stage_size:
            self._let_again()
            raise SearchError(
                f"{here} of {self.stage_size} evaluations were lost, more than the share "
                f"{self.max_lost:g} that may be; the last: {last.reason}. The journal "
                f"{self.journal.path} holds every reason: mend it and resume the search, which "
                "evaluates them again"
            )

    def _let_again(self) -> None:
        """The search stops over what was lost in this stage: resuming it evaluates that again."""
        if here := self.lost[self.stage_begin :]:
            self.journal.append(again_record(here))

    def _check_hope(self, ends: Sequence[Ended]) -> None:
        if self.best is None and self.failures == self.evaluations - len(self.lost) >= _HOPELESS:
            raise SearchError(
                f"all of the first {self.failures} evaluations failed, so there is nothing to "
                f"learn from; the last: {ends[-1].result.reason}. The journal "
                f"{self.journal.path} holds every reason: mend it, and start again in another "
                "output directory"
            )

    def _select(self) -> Selection:
        seen = [(candidate.id, candidate.theta, result) for candidate, result in self.seen]
        finalists = choose_finalists(self.agent.mean, self.identity, seen, self.settings.top_k)
        self.callbacks.on_selection(SelectionEvent(tuple(finalists)))
        seeds = [
            candidate_seed(self.settings.seed, "selection", m) for m in range(self.settings.reseeds)
        ]
        candidates = [
            Candidate(f"s00c{i:02d}m{m}", finalist.theta, seed)
            for i, finalist in enumerate(finalists)
            for m, seed in enumerate(seeds)
        ]
        self._begin_stage(len(candidates))
        results = [result for _, result in self._evaluate(candidates, final=True)]
        m = len(seeds)
        try:
            return select(finalists, [results[i * m : (i + 1) * m] for i in range(len(finalists))])
        except NoVerdictError:
            self._let_again()
            raise

    def _finish(self, selection: Selection) -> SearchResult:
        winner = selection.winner
        result = SearchResult(
            winner.finalist.theta,
            winner.mean,
            self.agent.mean,
            selection,
            self.evaluations,
            self.failures,
            len(self.lost),
        )
        self._write_once(result_record(result))
        self.callbacks.on_finish(result)
        return result

    def _evaluate(
        self, candidates: Sequence[Candidate], final: bool = False
    ) -> Iterator[Evaluated]:
        """Each candidate with its result, in order: from the journal, or evaluated and written."""
        fresh = self.executor.run([one for one in candidates if one.id not in self.known])
        for candidate in candidates:
            replayed = candidate.id in self.known
            if replayed:
                result = replay(self.journal, self.known[candidate.id], candidate)
            else:
                result = self._take(candidate, *next(fresh))
            stage = _stage(candidate, final)
            if stage == "search":
                self._remember(candidate, result)
            self.callbacks.on_candidate(
                CandidateEvent(stage, self.evaluations, candidate, result, replayed, self.best)
            )
            self.evaluations += 1
            self.failures += result.status == "failed"
            if result.status == "lost":
                self.lost.append(candidate.id)
                self._check_lost(result)
            yield candidate, result

    def _remember(self, candidate: Candidate, result: ProxyResult) -> None:
        self.seen.append((candidate, result))
        if result.status == "ok" and (self.best is None or result.reward > self.best[1].reward):
            self.best = candidate, result

    def _take(self, expected: Candidate, came: Candidate, result: ProxyResult) -> ProxyResult:
        if came.id != expected.id:
            raise RuntimeError(f"the executor gave {came.id} where {expected.id} was due")
        record = self.journal.append(candidate_record(expected, result))
        # What was written is what is used: nothing may differ between this run and its replay.
        return result_from_json(record)

    def _write_once(self, record: Record) -> None:
        if _key(record) not in self.written:
            self.journal.append(record)


def _stage(candidate: Candidate, final: bool) -> Literal["search", "rung", "selection"]:
    if final:
        return "selection"
    return "search" if candidate.budget == 1.0 else "rung"


def _key(record: Record) -> tuple[Any, ...]:
    """What a record is about: there is one of each in a journal."""
    return record["kind"], record.get("round"), record.get("id")
