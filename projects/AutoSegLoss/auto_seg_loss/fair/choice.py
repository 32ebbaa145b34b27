"""What the hold-out decides: the learning rate of every loss."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from auto_seg_loss.fair.trials import Scores, Trial

RATES = (0.1, 0.3, 1.0)
"""The grid of learning rates, the same for every loss."""
RATE_SEED = 101
"""Seed of the trainings that choose; those that are reported have others."""
SEEDS = (1, 2, 3, 4, 5)
"""Seeds of the trainings that are reported."""


def rate_trials(losses: Iterable[str], iterations: int, rates: Sequence[float]) -> list[Trial]:
    """The trainings that choose a learning rate for each loss."""
    return [Trial(loss, rate, iterations, RATE_SEED) for loss in losses for rate in rates]


def best_rate(
    records: Mapping[Trial, Scores],
    loss: str,
    iterations: int,
    holdout: str,
    metric: str,
) -> float:
    """The learning rate with the best score on the hold-out; of equals the smallest.

    Only trainings with RATE_SEED count. A training that diverged scores nothing. ValueError when
    there is none.
    """
    found = {
        trial.rate: scores.get(holdout, {}).get(metric, -math.inf)
        for trial, scores in records.items()
        if (trial.loss, trial.iterations, trial.seed) == (loss, iterations, RATE_SEED)
    }
    if not found:
        raise ValueError(f"no training of {loss} with {iterations} iterations chooses its rate")
    return max(sorted(found), key=lambda rate: found[rate])


def seed_trials(loss: str, rate: float, iterations: int, seeds: Sequence[int]) -> list[Trial]:
    """The trainings of a loss that are reported."""
    return [Trial(loss, rate, iterations, seed) for seed in seeds]
