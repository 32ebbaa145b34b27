"""The final choice: the finalists, a race over fresh seeds, and the report.

The best reward of the search is a maximum of noisy values, and so too optimistic. Finalists are
evaluated again with fresh seeds, the same for each, so differences are paired; a finalist that
falls behind by more than noise gets no further seeds. Maron and Moore, "Hoeffding Races" (NeurIPS
1993), with paired t tests instead of their bound.

Shapes: F finalists, M fresh seeds at most, D search coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl.estimates import Finalist, mean_and_error
from rl.proxy import ProxyResult

IDENTITY = "identity"
MEAN = "mean"

ERROR = 0.05
"""Upper bound of the probability that a race drops its best finalist, and of the probability that
it wrongly calls a finalist better than the identity, over all seeds and finalists."""

_SAME = 1e-6
"""Thetas closer than this in every coordinate draw the same curves and count as one."""


class NoVerdictError(RuntimeError):
    """The finalists cannot be compared: the message says why, and lists the results."""


@dataclass(frozen=True, eq=False)
class Selection:
    """All finalists with their results, the identity first, and the winner.

    `ending` says how the race ended, `statement` how much the winner gains over the identity with
    the seeds that both have, and whether that is `beyond_noise`.
    """

    finalists: tuple[Finalist, ...]
    winner: Finalist
    ending: str
    statement: str
    beyond_noise: bool

    def report(self) -> str:
        """One line per finalist, longest in the race and then best first, and two statements."""
        return "\n".join([*_listed(self.finalists, self.winner), self.ending, self.statement])

    def record(self) -> dict[str, Any]:
        """Its content for the journal: plain values and theta (D,)."""
        return {
            "winner": self.winner.name,
            "theta": self.winner.theta,
            "reward": self.winner.mean,
            "finalists": {one.name: one.rewards for one in self.finalists},
            "ending": self.ending,
            "statement": self.statement,
        }


def choose_finalists(
    mean: NDArray[np.float64],
    identity: NDArray[np.float64],
    seen: Iterable[tuple[str, NDArray[np.float64], float]],
    top_k: int,
) -> list[Finalist]:
    """The identity, the mean, and the top_k best of seen, (id, theta (D,), score), all distinct.

    The identity comes first, so it wins ties.
    """
    finalists = [Finalist(IDENTITY, identity)]

    def add(name: str, theta: NDArray[np.float64]) -> None:
        if all(np.max(np.abs(theta - one.theta)) > _SAME for one in finalists):
            finalists.append(Finalist(name, theta))

    add(MEAN, mean)
    size = len(finalists) + top_k
    for name, theta, _ in sorted(seen, key=lambda row: -row[2]):
        if len(finalists) < size:
            add(name, theta)
    return finalists


def race(
    finalists: Sequence[Finalist],
    seeds: int,
    evaluate: Callable[[int, Sequence[int]], Iterable[ProxyResult]],
) -> Selection:
    """Let finalists, identity first, race over at most ``seeds`` fresh seeds.

    After each seed the leader is the finalist with the largest gain over the identity, the mean
    difference over the seeds, at least two, with rewards for both; ties go to the first. Finalists
    behind the leader beyond noise drop out, and the race ends when one remains. The identity is
    evaluated as long as any other, since all are compared with it.

    Beyond noise: one-sided paired t test, at the level ERROR over the number of tests in which one
    finalist can lose (Bonferroni): against F - 1 others, after each seed but the first.

    Args:
        finalists: F of them, distinct.
        seeds: M >= 2.
        evaluate: index of a seed, indices of finalists -> their results.

    Raises NoVerdictError if no finalist has two seeds in common with the identity, or none was
    trained at all.
    """
    if len(finalists) == 1:
        raise NoVerdictError("No verdict: the search proposed nothing but the identity.")
    level = ERROR / ((len(finalists) - 1) * (seeds - 1))
    raced = list(finalists)
    left, leader = list(range(len(finalists))), 0
    for seed in range(seeds):
        running = sorted({0, *left})
        for i, result in zip(running, evaluate(seed, running), strict=True):
            raced[i] = replace(raced[i], results=(*raced[i].results, result))
        leader = max(left, key=lambda i: raced[i].gain_over(raced[0]))
        left = [i for i in left if not raced[leader].is_ahead_of(raced[i], level)]
        if len(left) == 1:
            break
    _check_verdict(raced)
    winner = raced[leader]
    ending = _ending(winner, [raced[i] for i in left], seeds)
    beyond = winner.is_ahead_of(raced[0], level)
    return Selection(tuple(raced), winner, ending, _statement(winner, raced, beyond), beyond)


def _check_verdict(finalists: Sequence[Finalist]) -> None:
    trained = any(one.count("ok") for one in finalists)
    if trained and any(len(one.minus(finalists[0])) > 1 for one in finalists[1:]):
        return
    reason = (
        "No verdict: it needs two fresh seeds with rewards for both the identity and another "
        "finalist, and one evaluation that did not fail. If evaluations failed, a lower learning "
        "rate often helps; resuming the search repeats lost evaluations."
    )
    raise NoVerdictError("\n".join([reason, *_listed(finalists)]))


def _ending(leader: Finalist, left: Sequence[Finalist], seeds: int) -> str:
    name, had = leader.name, len(leader.results)
    others = ", ".join(one.name for one in left if one is not leader)
    if not others:
        return f"Race over after {had} of {seeds} seeds: {name} is ahead of all beyond the noise."
    return f"Race over, all {seeds} seeds used: {name} leads, but not beyond the noise: {others}."


def _statement(winner: Finalist, finalists: Sequence[Finalist], beyond: bool) -> str:
    rewards = [reward for one in finalists for reward in one.known]
    if min(rewards) == max(rewards):
        return (
            f"All {len(rewards)} rewards of the final are {rewards[0]:g}, so they do not "
            "distinguish the losses: nothing was found. Train the candidates longer, or at higher "
            "learning rates."
        )
    if winner is finalists[0]:
        return "The identity won: nothing found was better."
    differences = winner.minus(finalists[0])
    difference, error = mean_and_error(differences)
    verdict = "beyond the noise" if beyond else "NOT beyond the noise"
    return (
        f"{winner.name} - identity = {difference:+.4f} ± {error:.4f} over "
        f"{len(differences)} paired seeds: {verdict} (t tests, {ERROR:.0%} for the whole race)."
    )


def _listed(finalists: Iterable[Finalist], winner: Finalist | None = None) -> list[str]:
    """One line each, sorted by number of seeds and then reward; "*" marks the winner."""

    def rank(one: Finalist) -> tuple[int, float]:
        return -len(one.results), math.inf if math.isnan(one.mean) else -one.mean

    return [("* " if one is winner else "  ") + str(one) for one in sorted(finalists, key=rank)]
