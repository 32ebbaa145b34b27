"""The loop: agent x executor x journal. No side effect but the journal's; callbacks hold the rest.

Resuming is replaying: the loop always runs from the start with the same seeded agent, and takes
results from the journal where it has them. So there is one code path, and a search killed at any
moment ends as if it had never been interrupted.

Shapes: N candidates of a round, D search coordinates.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from rl.agents.base import Agent
from rl.agents.guarded import Guarded
from rl.callbacks import Callback, tell_all
from rl.events import (
    CandidateEvent,
    RoundEvent,
    SearchResult,
    SearchSettings,
    SearchStart,
    SelectionEvent,
    Stage,
)
from rl.executors.base import Candidate, Executor
from rl.halving import climb, told_rewards
from rl.journal import Journal, Record
from rl.proxy import ProxyResult
from rl.recorded import MAX_LOST, Recorded, SearchError, candidate_seed
from rl.selection import NoVerdictError, Selection, choose_finalists, race

__all__ = ["SearchError", "SearchResult", "SearchSettings", "candidate_seed", "run_search"]

Evaluated = tuple[Candidate, ProxyResult]
Told = tuple[NDArray[np.float64], NDArray[np.float64]]


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
    """Search, then choose among mean, identity and the best candidates with fresh seeds.

    A failed evaluation is told to the agent with the floor reward. A lost one is not told: the
    agent gets fewer rows than it proposed, and none for a round without any. A search that stops
    because of lost evaluations repeats those of its last round when resumed.

    Args:
        agent: newly made, also when resuming: the journal is replayed to it, so equal scores must
            lead it to equal proposals.
        executor: evaluates candidates that are not in the journal.
        journal: open, new or resumed. Its header should hold everything the outcome depends on.
        settings: length, seed and final.
        callbacks: get every event, replayed or new; closed at the end, also after an error.
        identity: (D,) theta of the identity surface; None = the agent's first mean.
        max_lost: the share, in [0, 1], of a round's `samples`, or of the final's evaluations, that
            may be lost.
        clock: seconds, for the limit of `settings.minutes`. With a limit, the journal holds the
            times of the rounds, and a resumed search continues from there. An interrupted round
            counts from where it is resumed.

    Raises:
        JournalError: the journal holds another search's candidates.
        SearchError: more than max_lost were lost, or all candidates failed, eight or more of
            them, from the first one on.
        NoVerdictError: the final has nothing to compare, see `rl.selection.race`.
        OSError, or one of the task's `data_errors`: a file is missing or wrong.
        ValueError: the agent's proposals have the wrong shape, or leave [0, 1].
        Any exception of an executor or callback: the journal stays resumable.
    """
    tell = partial(tell_all, callbacks)
    try:
        start = Guarded(agent).mean if identity is None else np.array(identity, dtype=np.float64)
        guarded = Guarded(agent, start.size, start if settings.paired else None)
        recorded = Recorded(executor, journal, max_lost)
        return _Search(guarded, recorded, settings, tell, start, clock).run()
    finally:
        tell("close")


@dataclass
class _Search:
    agent: Guarded
    recorded: Recorded
    settings: SearchSettings
    tell: Callable[..., None]
    identity: NDArray[np.float64]
    clock: Callable[[], float]
    seconds: float = 0.0
    seen: list[tuple[str, NDArray[np.float64], float]] = field(default_factory=list)
    best: Evaluated | None = None

    def run(self) -> SearchResult:
        policy, known = (self.agent.mean, self.agent.spread), len(self.recorded.known)
        self.tell("on_start", SearchStart(self.settings, self.identity, *policy, known))
        for index in range(self.settings.rounds):
            self._round(index)
            if self.settings.time_is_over(index + 1, self.seconds):
                break
        if not self.seen:
            self.recorded.give_up()
        return self._finish(self._select(index + 1))

    def _round(self, index: int) -> None:
        begin, settings = self.clock(), self.settings
        first = int(settings.paired)  # row 0 is then the reference, not a candidate
        thetas = self.agent.ask(settings.samples)
        self.recorded.begin_stage(settings.samples)
        seed = candidate_seed(settings.seed, "search", index)
        candidates = [
            Candidate(f"r{index:02d}c{i:02d}", theta, seed) for i, theta in enumerate(thetas)
        ]
        ends = climb(candidates, settings.rungs, self._evaluate, never_stopped=first)
        rewards = np.array(told_rewards(ends))
        told = ~np.isnan(rewards)
        if told.any():
            self.agent.tell(thetas[told], rewards[told])
        gains = rewards - rewards[0] if settings.paired else rewards
        self.seen += [
            (end.evaluation.id, end.evaluation.theta, float(gain))
            for end, gain in list(zip(ends, gains, strict=True))[first:]
            if end.status == "ok" and not math.isnan(gain)
        ]
        counts = Counter(end.status for end in ends)
        self._end_round(index, begin, (thetas[told], rewards[told]), counts)

    def _end_round(self, index: int, begin: float, told: Told, counts: Counter[str]) -> None:
        mean, spread = self.agent.mean, self.agent.spread
        record: Record = {"kind": "round", "round": index, "mean": mean, "sigma": spread}
        seconds = self.seconds + self.clock() - begin
        if self.settings.minutes:  # equally seeded searches without a limit write equal journals
            record["seconds"] = seconds
        self.seconds = self.recorded.write_once(record).get("seconds", seconds)
        event = RoundEvent(index, mean, spread, *told, counts, self.best, self.seconds)
        self.tell("on_round", event)
        self.recorded.check_hope()

    def _select(self, rounds: int) -> Selection:
        settings = self.settings
        finalists = choose_finalists(self.agent.mean, self.identity, self.seen, settings.top_k)
        self.tell("on_selection", SelectionEvent(tuple(finalists), rounds))
        self.recorded.begin_stage(len(finalists) * settings.reseeds)

        def evaluate(index: int, running: Sequence[int]) -> list[ProxyResult]:
            seed = candidate_seed(settings.seed, "selection", index)
            candidates = [
                Candidate(f"s00c{i:02d}m{index}", finalists[i].theta, seed) for i in running
            ]
            return [result for _, result in self._evaluate(candidates, final=True)]

        try:
            return race(finalists, settings.reseeds, evaluate)
        except NoVerdictError:
            self.recorded.let_again()
            raise

    def _finish(self, selection: Selection) -> SearchResult:
        self.recorded.write_once({"kind": "result", **selection.record()})
        counts, winner = self.recorded.counts, selection.winner
        result = SearchResult(
            theta=winner.theta,
            reward=winner.mean,
            mean=self.agent.mean,
            selection=selection,
            evaluations=counts.total(),
            failures=counts["failed"],
            lost=counts["lost"],
        )
        self.tell("on_finish", result)
        return result

    def _evaluate(
        self, candidates: Sequence[Candidate], final: bool = False
    ) -> Iterator[Evaluated]:
        for candidate, result, replayed in self.recorded.results(candidates):
            of_round: Stage = "search" if candidate.budget == 1.0 else "rung"
            stage: Stage = "selection" if final else of_round
            is_best = self.best is None or result.reward > self.best[1].reward
            if stage == "search" and result.status == "ok" and is_best:
                self.best = candidate, result
            step = self.recorded.counts.total()
            event = CandidateEvent(stage, step, candidate, result, replayed, self.best)
            self.tell("on_candidate", event)
            yield candidate, result
