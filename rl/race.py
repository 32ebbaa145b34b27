"""The final as a race: who falls behind by more than noise gets no further seed.

Maron and Moore, "Hoeffding Races" (NeurIPS 1993), with paired t tests in the place of their bound.

Shapes: F finalists, M fresh seeds at most.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cache

from scipy import stats

from rl.proxy import ProxyResult
from rl.selection import (
    Comparison,
    Estimate,
    Finalist,
    Selection,
    list_estimates,
    mean_and_error,
)

ERROR = 0.05
"""The chance that a race drops its best finalist, and the chance that it calls a finalist better
than the identity which is not: each at most this, over all its seeds and finalists."""


class NoVerdictError(RuntimeError):
    """The finalists cannot be compared: the message says why, and lists what there is."""


def race(
    finalists: Sequence[Finalist],
    seeds: int,
    evaluate: Callable[[int, Sequence[int]], Iterable[ProxyResult]],
) -> Selection:
    """Let finalists, identity first, race over at most ``seeds`` fresh seeds.

    After each seed the leader is who gains most over the identity: by the mean difference over the
    seeds under which both have a reward, two at least; of equals the first. Who is beyond noise
    behind the leader drops out, and when one is left the race is over. The identity is
    evaluated as long as any other, for all are measured by it.

    Beyond noise: one-sided paired t test, at the level ERROR over the number of tests in which one
    finalist can lose (Bonferroni): against F - 1 others, after each seed but the first.

    Args:
        finalists: F of them, distinct.
        seeds: M >= 2.
        evaluate: number of a seed, indices of finalists -> their results.

    Raises NoVerdictError when no finalist has two seeds in common with the identity, or none was
    trained at all.
    """
    if len(finalists) == 1:
        raise NoVerdictError(
            "No verdict: no candidate has a reward, there is nothing to compare with the identity. "
            "Where candidates fail, a smaller learning rate often helps."
        )
    level = ERROR / ((len(finalists) - 1) * (seeds - 1))
    estimates = [Estimate(finalist, ()) for finalist in finalists]
    left, leader = list(range(len(finalists))), 0
    for seed in range(seeds):
        running = sorted({0, *left})
        for i, result in zip(running, evaluate(seed, running), strict=True):
            estimates[i] = Estimate(finalists[i], (*estimates[i].results, result))
        leader = max(left, key=lambda i: _gain(estimates[i], estimates[0]))
        left = [i for i in left if not is_ahead(estimates[leader], estimates[i], level)]
        if len(left) == 1:
            break
    _check_verdict(estimates)
    winner = estimates[leader]
    ending = _ending(winner, [estimates[i] for i in left], seeds)
    return Selection(tuple(estimates), winner, compare(winner, estimates[0], level), ending)


def _gain(one: Estimate, identity: Estimate) -> float:
    if one is identity:
        return 0.0
    differences = one.minus(identity)
    return mean_and_error(differences)[0] if len(differences) > 1 else -math.inf


def is_ahead(one: Estimate, other: Estimate, level: float) -> bool:
    """One-sided paired t test; False for fewer than two pairs."""
    differences = one.minus(other)
    mean, error = mean_and_error(differences)
    return len(differences) > 1 and mean > _quantile(level, len(differences) - 1) * error


@cache
def _quantile(level: float, freedom: int) -> float:
    return float(stats.t.isf(level, freedom))


def compare(one: Estimate, identity: Estimate, level: float) -> Comparison:
    """one - identity, and whether it is beyond the noise of the seeds, by the test of `race`."""
    if one is identity:
        return Comparison(0.0, 0.0, False, "The identity won: nothing found was better.")
    differences = one.minus(identity)
    difference, error = mean_and_error(differences)
    beyond = is_ahead(one, identity, level)
    verdict = "beyond the noise" if beyond else "NOT beyond the noise"
    statement = (
        f"{one.finalist.name} - identity = {difference:+.4f} ± {error:.4f} over {len(differences)} "
        f"paired seeds: {verdict} (t tests, {ERROR:.0%} for the whole race)."
    )
    return Comparison(difference, error, beyond, statement)


def _ending(leader: Estimate, left: Sequence[Estimate], seeds: int) -> str:
    name, had = leader.finalist.name, len(leader.results)
    others = ", ".join(one.finalist.name for one in left if one is not leader)
    if not others:
        return f"Race over after {had} of {seeds} seeds: {name} is ahead of all beyond the noise."
    return f"Race over, all {seeds} seeds used: {name} leads, but not beyond the noise: {others}."


def _check_verdict(estimates: Sequence[Estimate]) -> None:
    identity, *others = estimates
    if not any(one.count("ok") for one in estimates):
        reason = (
            "every evaluation of the final failed or was lost. Against failures a smaller learning "
            "rate often helps; resuming the search evaluates again what was lost"
        )
    elif all(len(one.minus(identity)) < 2 for one in others):
        reason = (
            "fewer than two fresh seeds under which the identity and another finalist both have a "
            "reward. Resuming the search evaluates again what was lost"
        )
    else:
        return
    raise NoVerdictError("\n".join([f"No verdict: {reason}.", *list_estimates(estimates)]))
