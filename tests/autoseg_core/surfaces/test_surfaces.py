"""What holds for every surface: bisection twin, fixed ends, monotone, slope, gradients."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import references
import samples
import torch
from torch import Tensor

from autoseg_core import SearchSpace
from autoseg_core.surfaces import SURFACES, evaluate_curve, get_surface

ALL = pytest.mark.parametrize("surface", SURFACES)
PIECES = pytest.mark.parametrize("pieces", [1, 2, 5])
SEEDS = pytest.mark.parametrize("seed", range(2))


def random_points(surface: str, pieces: int, seed: int, low: float = 0.0) -> Tensor:
    """Control points (K, 2) in float64 of a random theta."""
    if get_surface(surface).inner_points(pieces) == 0:
        return torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    space = SearchSpace("mAcc", surface, pieces)
    theta = np.random.default_rng(seed).uniform(low, 1 - low, space.dim)
    return torch.from_numpy(space.control_points(theta)[0])


def grid(count: int = 401) -> Tensor:
    return torch.linspace(0, 1, count, dtype=torch.float64)


@ALL
@PIECES
@SEEDS
def test_value_equals_bisection(surface: str, pieces: int, seed: int) -> None:
    points = random_points(surface, pieces, seed)
    expected = references.curve(surface, points.numpy(), grid().numpy())
    value = evaluate_curve(surface, points, grid())
    np.testing.assert_allclose(value.numpy(), expected, rtol=1e-10, atol=1e-12)
    single = evaluate_curve(surface, points.float(), grid().float())
    np.testing.assert_allclose(single.numpy(), expected, rtol=1e-3, atol=1e-4)


@ALL
@PIECES
@SEEDS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_fixed_ends_and_never_falling(
    surface: str, pieces: int, seed: int, dtype: torch.dtype
) -> None:
    points = random_points(surface, pieces, seed).to(dtype)
    value = evaluate_curve(surface, points, grid(5001).to(dtype))
    assert value[0] == 0
    assert value[-1] == 1
    rounding = 4 * torch.finfo(dtype).eps
    assert float(value.diff().min()) >= -rounding
    assert -rounding <= float(value.min()) and float(value.max()) <= 1 + rounding


@ALL
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_outside_the_unit_interval_the_end_holds(surface: str, dtype: torch.dtype) -> None:
    points = random_points(surface, 2, 0).to(dtype)
    one, zero = torch.ones(1, dtype=dtype), torch.zeros(1, dtype=dtype)
    x = torch.cat([one.nextafter(2 * one), 2 * one, zero.nextafter(-one), -one]).requires_grad_()
    value = evaluate_curve(surface, points, x)
    assert value.tolist() == [1, 1, 0, 0]
    value.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0, 0, 0, 0]
    assert get_surface(surface).slope(points, x.detach()).tolist() == [0, 0, 0, 0]


@ALL
@PIECES
@SEEDS
def test_slope_is_the_derivative_of_value(surface: str, pieces: int, seed: int) -> None:
    points = random_points(surface, pieces, seed, low=0.02)
    x = grid()[1:-1].clone().requires_grad_()
    (derivative,) = torch.autograd.grad(evaluate_curve(surface, points, x).sum(), x)
    slope = get_surface(surface).slope(points, x.detach())
    np.testing.assert_allclose(slope.numpy(), derivative.numpy(), rtol=1e-9)


@ALL
@pytest.mark.parametrize("pieces", [2, 3])
def test_gradcheck_in_points_and_x(surface: str, pieces: int) -> None:
    points = random_points(surface, pieces, 3, low=0.1)
    x = torch.tensor([0.013, 0.21, 0.4, 0.55, 0.83, 0.97], dtype=torch.float64)
    inner = points[1:-1].clone().requires_grad_()

    def value(inner: Tensor, x: Tensor) -> Tensor:
        return evaluate_curve(surface, torch.cat([points[:1], inner, points[-1:]]), x)

    assert torch.autograd.gradcheck(value, (inner, x.requires_grad_()))


CASES = list(product(SURFACES, samples.EXTREME.values()))


@pytest.mark.parametrize(("surface", "corners"), CASES)
def test_pieces_of_width_zero_jump(surface: str, corners: list[tuple[float, float]]) -> None:
    points = torch.tensor(corners, dtype=torch.float64)
    x = torch.cat([grid(), torch.tensor([0.3, 1e-12, 1e-300], dtype=torch.float64)])
    value = evaluate_curve(surface, points, x)
    expected = references.curve(surface, points.numpy(), x.numpy())
    np.testing.assert_allclose(value.numpy(), expected, atol=3e-8)  # the root's floor: sqrt(eps)
    assert get_surface(surface).slope(points, x).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("surface", "corners"), CASES)
def test_their_gradients_are_finite(
    surface: str, corners: list[tuple[float, float]], dtype: torch.dtype
) -> None:
    points = torch.tensor(corners, dtype=dtype, requires_grad=True)
    edges = torch.tensor([1e-30, 0.3, 1 - 1e-7], dtype=dtype)
    x = torch.cat([grid().to(dtype), edges]).requires_grad_()
    evaluate_curve(surface, points, x).sum().backward()
    assert points.grad is not None and x.grad is not None
    assert points.grad.isfinite().all()
    assert x.grad.isfinite().all()
