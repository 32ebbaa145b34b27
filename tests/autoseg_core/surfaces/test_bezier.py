"""Piecewise Bezier curves: the stable root, joints, curves by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import references
import torch

from autoseg_core.surfaces import bezier


def tensor(*values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("middle", "value", "slope"),
    [
        ((0.5, 0), lambda x: x**2, lambda x: 2 * x),  # u(t) = t and v(t) = t²
        ((0, 0.5), torch.sqrt, lambda x: 0.5 / x.sqrt()),  # u(t) = t² and v(t) = t
    ],
    ids=["parabola", "square root"],
)
def test_curves_by_hand(middle: tuple[float, float], value: Any, slope: Any) -> None:
    x = tensor(1e-12, 1e-6, 0.01, 0.25, 0.81)
    points = tensor((0, 0), middle, (1, 1))
    torch.testing.assert_close(bezier.value(points, x), value(x), rtol=1e-12, atol=0)
    torch.testing.assert_close(bezier.slope(points, x), slope(x), rtol=1e-12, atol=0)


@pytest.mark.parametrize("offset", [0.0, 1e-9, -1e-5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_root_is_stable_near_the_identity(offset: float, dtype: torch.dtype) -> None:
    """The textbook root divides by 2a - 1; the released curve was off by up to 0.19 here."""
    points = tensor((0, 0), (0.5 + offset, 0.5), (1, 1))
    x = torch.linspace(0, 1, 1001, dtype=torch.float64)
    expected = references.curve("bezier", points.numpy(), x.numpy())
    value = bezier.value(points.to(dtype), x.to(dtype)).double()
    rounding = 8 * torch.finfo(dtype).eps
    np.testing.assert_allclose(value.numpy(), expected, atol=rounding)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("middle", [(0, 1), (1, 0)])
def test_one_curve_below_the_floor_of_the_root(
    middle: tuple[float, float], dtype: torch.dtype
) -> None:
    """``slope`` is autograd's of ``value``, finite, and at the floor that of the exact curve."""
    points = torch.tensor([(0, 0), middle, (1, 1)], dtype=dtype)
    eps = torch.finfo(dtype).eps
    near = torch.tensor([1e-30, 1e-16, 0.25 * eps, 0.5 * eps, eps, 2 * eps, 1e-3, 0.5], dtype=dtype)
    x = (near if middle[0] == 0 else 1 - near[3:]).requires_grad_()
    (gradient,) = torch.autograd.grad(bezier.value(points, x).sum(), x)
    slope = bezier.slope(points, x.detach())
    torch.testing.assert_close(slope, gradient, rtol=16 * eps, atol=0)
    # v = 2 sqrt(x) - x, and the same turned round: 1 / sqrt(distance) - 1. Below the floor four
    # times that of the floor at most.
    distance = near.detach() if middle[0] == 0 else near[3:].detach()
    expected = 1 / distance.double().sqrt() - 1
    exact = distance >= eps
    torch.testing.assert_close(slope.double()[exact], expected[exact], rtol=8 * eps**0.5, atol=0)
    assert (slope[~exact] >= 0.99 * eps**-0.5).all()
    assert (slope <= 4.01 * eps**-0.5).all()
