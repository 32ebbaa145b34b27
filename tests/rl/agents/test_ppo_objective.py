"""The mathematics of PPO, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rl.agents.ppo_objective import clipped_objective


def test_clipped_objective_and_its_gradient_by_hand() -> None:
    # Ratios 1.5 and 0.5 with eps 0.2; min(r A, clip(r) A) is, row by row:
    # A = 2: min(3, 2.4) = 2.4 and min(1, 1.6) = 1; A = -1: min(-1.5, -1.2), min(-0.5, -0.8).
    log_ratio = torch.log(torch.tensor([[1.5, 0.5], [1.5, 0.5]], dtype=torch.float64))
    log_ratio.requires_grad_()
    objective = clipped_objective(log_ratio, torch.tensor([2.0, -1.0]).double(), 0.2)
    assert objective.item() == pytest.approx((2.4 + 1.0 - 1.5 - 0.8) / 2)
    objective.backward()  # 0 where clipping holds
    expected = [[0.0, 2.0 * 0.5 / 2], [-1.0 * 1.5 / 2, 0.0]]
    np.testing.assert_allclose(log_ratio.grad.numpy(), expected, atol=1e-15)


@pytest.mark.parametrize("log_ratio", [-1e4, 1e4])
@pytest.mark.parametrize("advantage", [-1.0, 1.0])
def test_gradient_is_finite_for_absurd_ratios(log_ratio: float, advantage: float) -> None:
    ratio = torch.tensor([[log_ratio]], dtype=torch.float64, requires_grad=True)
    clipped_objective(ratio, torch.tensor([advantage], dtype=torch.float64), 0.2).backward()
    assert torch.isfinite(ratio.grad).all()
