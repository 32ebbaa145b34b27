"""Guards: division without a denominator, working precision."""

from __future__ import annotations

import math

import pytest
import torch

from autoseg_core.numerics import safe_divide


@pytest.mark.parametrize("denominator", [0.0, -1.0])
def test_without_a_denominator_value_and_gradients_are_zero(denominator: float) -> None:
    a = torch.tensor(3.0, requires_grad=True)
    b = torch.tensor(denominator, requires_grad=True)
    quotient = safe_divide(a, b)
    quotient.backward()
    assert quotient.item() == 0
    assert a.grad is not None and a.grad.item() == 0
    assert b.grad is not None and b.grad.item() == 0


@pytest.mark.parametrize(("a", "b"), [(math.nan, 1.0), (1.0, math.nan), (math.nan, math.nan)])
def test_nan_stays_nan(a: float, b: float) -> None:
    assert safe_divide(torch.tensor(a), torch.tensor(b)).isnan()
