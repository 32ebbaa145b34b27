"""How good a search was, evaluation by evaluation: regret, and evaluations to a given reward.

What counts is what a candidate is worth (its value), but which candidate counts is decided by what
the agent saw: with a noisy proxy these differ, and a lucky candidate is chosen at its true worth.

Shapes: B evaluations of a run, N of them in each round, R = B / N rounds, K seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Run:
    """One agent under one seed.

    Args:
        values: (B,) what each candidate is worth, without noise.
        seen: (B,) the reward that the agent was told of each.
        mean_values: (R,) what the agent's mean was worth after each round; R divides B.
    """

    values: Array
    seen: Array
    mean_values: Array


def incumbent_values(run: Run) -> Array:
    """(B,): after each evaluation, the value of the candidate that looks best so far.

    It looks best by the rewards told; of equal ones the first counts.
    """
    best = np.maximum.accumulate(run.seen)
    is_new = np.concatenate([[True], run.seen[1:] > best[:-1]])
    incumbent: Array = run.values[np.maximum.accumulate(np.where(is_new, np.arange(best.size), 0))]
    return incumbent


def offered_values(run: Run) -> Array:
    """(B,): after each evaluation, the better of the incumbent and the agent's last mean.

    These two are what a search's final choice compares under fresh seeds. A mean is known with the
    last evaluation of its round.
    """
    samples = run.values.size // run.mean_values.size
    known = np.concatenate([np.full(samples - 1, -np.inf), np.repeat(run.mean_values, samples)])
    offered: Array = np.maximum(incumbent_values(run), known[: run.values.size])
    return offered


@dataclass(frozen=True)
class Reach:
    """How soon an agent offers a given reward.

    Args:
        evaluations: those of all seeds until each offers it, over the seeds that do; infinity when
            none does. A seed that never does has spent its whole budget. The expected running time
            of Hansen, Auger, Finck and Ros, "Real-Parameter Black-Box Optimization Benchmarking"
            (2009).
        seeds: how many of its K seeds offer it.
        factor: the budget over evaluations; 0 when no seed does.
    """

    evaluations: float
    seeds: int
    factor: float


def measure_reach(offered: Sequence[Array], target: float) -> Reach:
    """How soon the K runs that offer these, each (B,), offer target."""
    budget = offered[0].size
    reached = [np.flatnonzero(one >= target) for one in offered]
    spent = sum(int(where[0]) + 1 if where.size else budget for where in reached)
    seeds = sum(where.size > 0 for where in reached)
    evaluations = spent / seeds if seeds else math.inf
    return Reach(evaluations, seeds, budget / evaluations)


def checkpoints(budget: int, rounds: int) -> list[int]:
    """Evaluations after a quarter, a half and three quarters of a run, in whole rounds.

    Those that rounding moves to the start, to the end or onto one another are left out: a run of
    one round has none.
    """
    whole = {round(quarter * rounds / 4) for quarter in (1, 2, 3)} - {0, rounds}
    return [index * (budget // rounds) for index in sorted(whole)]
