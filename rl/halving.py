"""Successive halving within a round: the better half continues with twice the budget.

Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization"
(AISTATS 2016), for the candidates of one round. Every rung is a separate evaluation, from the
start: no state is kept between rungs, so an executor may run it anywhere, even twice.

Shapes: N candidates of a round, R rungs below the full budget: 2^-R, ..., 1/4, 1/2.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rl.executors.base import Candidate
from rl.proxy import ProxyResult


@dataclass(frozen=True, eq=False)
class Ended:
    """The end of a candidate's round: its last evaluation, and its results on all rungs so far."""

    evaluation: Candidate
    results: tuple[ProxyResult, ...]

    @property
    def result(self) -> ProxyResult:
        """The last."""
        return self.results[-1]

    @property
    def status(self) -> str:
        """Status of its last evaluation, at any budget; "stopped" if it was beaten at a rung."""
        beaten = self.evaluation.budget < 1.0 and self.result.status == "ok"
        return "stopped" if beaten else self.result.status


def evaluations(samples: int, rungs: int, never_stopped: int = 0) -> int:
    """Evaluations of one round when none fails: N + N/2 + N/4 + …, R + 1 terms rounded up.

    With candidates that are never stopped, this is the maximum: each rung has all of them.
    """
    alive, total = samples, 0
    for _ in range(rungs + 1):
        total += alive
        alive = min(alive, math.ceil(alive / 2) + never_stopped)
    return total


def climb(
    candidates: Sequence[Candidate],
    rungs: int,
    evaluate: Callable[[Sequence[Candidate]], Iterable[tuple[Candidate, ProxyResult]]],
    never_stopped: int = 0,
) -> list[Ended]:
    """Lead a round through its rungs to the full budget; one `Ended` per candidate, in order.

    The evaluation of candidate "x" on rung k has the id "xk<k>", that at full budget "x". The
    first `never_stopped` candidates always continue if they are ok.
    """
    protected = {one.id for one in candidates[:never_stopped]}
    ends = {one.id: Ended(one, ()) for one in candidates}
    alive = list(candidates)
    for level in range(rungs + 1):
        tries = [_on_rung(one, level, 0.5 ** (rungs - level)) for one in alive]
        results = []
        for one, (tried, result) in zip(alive, evaluate(tries), strict=True):
            ends[one.id] = Ended(tried, (*ends[one.id].results, result))
            results.append(result)
        best = survivors(results)
        alive = [
            one
            for i, (one, result) in enumerate(zip(alive, results, strict=True))
            if i in best or (one.id in protected and result.status == "ok")
        ]
    return [ends[one.id] for one in candidates]


def _on_rung(candidate: Candidate, level: int, budget: float) -> Candidate:
    if budget == 1.0:
        return candidate
    return dataclasses.replace(candidate, id=f"{candidate.id}k{level}", budget=budget)


def survivors(results: Sequence[ProxyResult]) -> list[int]:
    """Sorted indices of the results (N,) that continue: the best half of all, rounded up.

    Ties go to the earlier one; failed or lost ones never continue.
    """
    ok = [i for i, result in enumerate(results) if result.status == "ok"]
    ranked = sorted(ok, key=lambda i: -results[i].reward)
    return sorted(ranked[: math.ceil(len(results) / 2)])


def told_rewards(ends: Sequence[Ended]) -> list[float]:
    """The rewards told to the agent, (N,); NaN for lost evaluations, which it is not told.

    For a stopped candidate it is an estimate of its reward at full budget: its own reward plus the
    average gain from there of those that continued, but never more than the worst of those that
    beat it at equal budgets. Those that failed later count in neither.
    """
    told = [end.result.reward for end in ends]
    for i in sorted(range(len(ends)), key=lambda i: -len(ends[i].results)):
        passed = len(ends[i].results)
        further = [
            j
            for j, end in enumerate(ends)
            if len(end.results) > passed and end.result.status == "ok"
        ]
        if ends[i].result.status == "ok" and further:
            gains = [told[j] - ends[j].results[passed - 1].reward for j in further]
            growth = math.fsum(gains) / len(gains)
            own = ends[i].result.reward
            beat = [told[j] for j in further if ends[j].results[passed - 1].reward >= own]
            told[i] = max(0.0, min([own + growth, *beat]))
    return told
