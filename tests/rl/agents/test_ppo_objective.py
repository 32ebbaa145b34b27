"""The mathematics of PPO, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rl.agents.ppo_objective import (
    LOGIT_MARGIN,
    advantage_over_mean,
    clipped_objective,
    logit,
)


def test_clipped_objective_by_hand() -> None:
    # Ratios 1.5 and 0.5 with eps 0.2; min(r A, clip(r) A) is, row by row:
    # A = 2: min(3, 2.4) = 2.4 and min(1, 1.6) = 1; A = -1: min(-1.5, -1.2), min(-0.5, -0.8).
    log_ratio = torch.log(torch.tensor([[1.5, 0.5], [1.5, 0.5]], dtype=torch.float64))
    advantage = torch.tensor([2.0, -1.0], dtype=torch.float64)
    objective = clipped_objective(log_ratio, advantage, 0.2)
    assert objective.item() == pytest.approx((2.4 + 1.0 - 1.5 - 0.8) / 2)


def test_gradient_vanishes_exactly_where_clipping_holds() -> None:
    log_ratio = torch.log(torch.tensor([[1.5, 0.5], [1.5, 0.5]], dtype=torch.float64))
    log_ratio.requires_grad_()
    clipped_objective(log_ratio, torch.tensor([2.0, -1.0], dtype=torch.float64), 0.2).backward()
    expected = [[0.0, 2.0 * 0.5 / 2], [-1.0 * 1.5 / 2, 0.0]]
    np.testing.assert_allclose(log_ratio.grad.numpy(), expected, atol=1e-15)


@pytest.mark.parametrize("log_ratio", [-1e4, 1e4])
@pytest.mark.parametrize("advantage", [-1.0, 1.0])
def test_gradient_is_finite_for_absurd_ratios(log_ratio: float, advantage: float) -> None:
    ratio = torch.tensor([[log_ratio]], dtype=torch.float64, requires_grad=True)
    clipped_objective(ratio, torch.tensor([advantage], dtype=torch.float64), 0.2).backward()
    assert torch.isfinite(ratio.grad).all()


def test_mean_baseline_of_equal_scores_is_exactly_zero() -> None:
    scores = np.full(3, 0.1)
    assert (scores - scores.mean()).any()  # the rounding that Adam would blow up
    assert not advantage_over_mean(scores).any()


def test_logit_inverts_the_sigmoid_and_is_finite_at_the_walls() -> None:
    mean = np.array([0.0, 0.25, 1.0])
    back = 1.0 / (1.0 + np.exp(-logit(mean)))
    np.testing.assert_allclose(back, [LOGIT_MARGIN, 0.25, 1.0 - LOGIT_MARGIN], rtol=1e-12)
