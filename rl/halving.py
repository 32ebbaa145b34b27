"""Successive halving within a round: which candidates go on to a larger budget, and what is told.

Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization"
(AISTATS 2016), for the candidates of one round. Every rung is an evaluation of its own, from the
start: no state is kept between rungs, so an executor may run it anywhere, and twice.

Shapes: N candidates of a round, R rungs below the full budget.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rl.executors.base import Candidate
from rl.proxy import ProxyResult


@dataclass(frozen=True, eq=False)
class Ended:
    """How a candidate's round ended: its last evaluation, and how many rungs it had passed."""

    evaluation: Candidate
    result: ProxyResult
    passed: int

    @property
    def status(self) -> str:
        """That of its last evaluation, at any budget; "stopped" when it was beaten at a rung."""
        beaten = self.evaluation.budget < 1.0 and self.result.status == "ok"
        return "stopped" if beaten else self.result.status


def check_rungs(rungs: Sequence[float], keep: float) -> None:
    """ValueError unless rungs rise strictly within (0, 1) and keep lies in (0, 1)."""
    ordered = all(low < high for low, high in itertools.pairwise(rungs))
    if not ordered or not all(0.0 < budget < 1.0 for budget in rungs):
        raise ValueError(
            f"rungs are budgets below the full one, rising within (0, 1); got {tuple(rungs)}"
        )
    if not 0.0 < keep < 1.0:
        raise ValueError(f"keep is the share that goes on from a rung, in (0, 1); got {keep}")


def kept(count: int, keep: float) -> int:
    """How many of ``count`` candidates go on from a rung: at least one."""
    return max(1, math.ceil(count * keep))


def evaluations(samples: int, rungs: Sequence[float], keep: float) -> int:
    """Evaluations of one round when none fails: N + kept(N) + kept(kept(N)) + …, R + 1 terms."""
    total = 0
    for _ in range(len(rungs) + 1):
        total += samples
        samples = kept(samples, keep)
    return total


def climb(
    candidates: Sequence[Candidate],
    rungs: Sequence[float],
    keep: float,
    evaluate: Callable[[Sequence[Candidate]], Iterable[tuple[Candidate, ProxyResult]]],
) -> list[Ended]:
    """Lead a round through its rungs to the full budget; one `Ended` a candidate, in order.

    The evaluation of candidate "x" on rung k has the id "xk<k>", that at full budget "x".
    """
    ends: dict[str, Ended] = {}
    alive = list(candidates)
    for level, budget in enumerate([*rungs, 1.0]):
        results = []
        for one, (tried, result) in zip(
            alive, evaluate([_on_rung(one, level, budget) for one in alive]), strict=True
        ):
            ends[one.id] = Ended(tried, result, level)
            results.append(result)
        alive = [alive[i] for i in survivors(results, keep)]
    return [ends[one.id] for one in candidates]


def _on_rung(candidate: Candidate, level: int, budget: float) -> Candidate:
    if budget == 1.0:
        return candidate
    return dataclasses.replace(candidate, id=f"{candidate.id}k{level}", budget=budget)


def survivors(results: Sequence[ProxyResult], keep: float) -> list[int]:
    """Indices, rising, of the results (N,) that go on: the best ``kept`` of those that are ok.

    Of equal rewards the earlier goes first; one that failed or was lost never goes on.
    """
    ok = [i for i, result in enumerate(results) if result.status == "ok"]
    ranked = sorted(ok, key=lambda i: -results[i].reward)
    return sorted(ranked[: kept(len(results), keep)])


def told_rewards(ends: Sequence[Ended]) -> list[float]:
    """What the agent is told, (N,); NaN for those it is not told of, whose evaluation was lost.

    A smaller budget may flatter: a stopped candidate is never told as better than the worst that
    went further, which beat it at equal budgets, failed ones aside: those earn FLOOR_REWARD.
    """
    told = [end.result.reward for end in ends]
    ceiling = math.inf
    for level in sorted({end.passed for end in ends}, reverse=True):
        here = [
            i for i, end in enumerate(ends) if end.passed == level and end.result.status == "ok"
        ]
        for i in here:
            told[i] = min(ends[i].result.reward, ceiling)
        ceiling = min([ceiling, *(told[i] for i in here)])
    return told
