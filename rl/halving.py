"""Successive halving within a round: the better half goes on to twice the budget.

Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization"
(AISTATS 2016), for the candidates of one round. Every rung is an evaluation of its own, from the
start: no state is kept between rungs, so an executor may run it anywhere, and twice.

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
    """How a candidate's round ended: its last evaluation, and its results on all rungs so far."""

    evaluation: Candidate
    results: tuple[ProxyResult, ...]

    @property
    def result(self) -> ProxyResult:
        """The last."""
        return self.results[-1]

    @property
    def status(self) -> str:
        """That of its last evaluation, at any budget; "stopped" when it was beaten at a rung."""
        beaten = self.evaluation.budget < 1.0 and self.result.status == "ok"
        return "stopped" if beaten else self.result.status


def evaluations(samples: int, rungs: int, never_stopped: int = 0) -> int:
    """Evaluations of one round when none fails: N + N/2 + N/4 + …, R + 1 terms rounded up.

    With candidates that are never stopped, the most there may be: each rung has all of them.
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

    The evaluation of candidate "x" on rung k has the id "xk<k>", that at full budget "x". Of the
    first `never_stopped` candidates, those that are ok go on in any case.
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
    """Indices, rising, of the results (N,) that go on: the best half, rounded up, of all.

    Of equal rewards the earlier goes first; one that failed or was lost never goes on.
    """
    ok = [i for i, result in enumerate(results) if result.status == "ok"]
    ranked = sorted(ok, key=lambda i: -results[i].reward)
    return sorted(ranked[: math.ceil(len(results) / 2)])


def told_rewards(ends: Sequence[Ended]) -> list[float]:
    """What the agent is told, (N,); NaN for those it is not told of, whose evaluation was lost.

    A stopped candidate is told with what it would have earned at the full budget: its own reward
    and what those that went further gained from there on average; but never more than the worst
    of those that beat it at equal budgets. Those that failed later count in neither.
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
