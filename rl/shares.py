"""Shares of a training: budgets of candidates, and steps that add up to exactly one."""

from __future__ import annotations

ROUNDING = 1e-9
"""Rewards and shares of a training this close to a bound count as the bound."""


def add_share(progress: float, share: float) -> float:
    """progress in [0, 1] after one more share, in (0, 1]; exactly 1.0 where the shares sum to 1.

    ValueError for a share outside (0, 1], or one that goes past the end of the training.
    """
    if not 0.0 < share <= 1.0:
        raise ValueError(f"share is a part of the training and must lie in (0, 1], got {share}")
    after = progress + share
    if after > 1.0 + ROUNDING:
        raise ValueError(
            f"a share of {share} goes past the end: {progress:.6g} of the training is done; "
            "start(seed) starts another"
        )
    return 1.0 if after > 1.0 - ROUNDING else after


def check_length(theirs: int, ours: int) -> None:
    """ValueError unless the run of a state has as many iterations as the run to continue."""
    if theirs != ours:
        raise ValueError(
            f"the state is from a training of {theirs} iterations, this one has {ours}; make it "
            "with the same settings"
        )


def check_budget(budget: float) -> float:
    """budget, a share of the full evaluation; ValueError unless in (0, 1]."""
    if not 0.0 < budget <= 1.0:
        raise ValueError(f"budget is a share and must lie in (0, 1], got {budget}")
    return budget
