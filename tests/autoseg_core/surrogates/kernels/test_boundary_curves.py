"""Fast curves of the boundary kernels: heights and slopes are those of the surfaces."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from autoseg_core import Constraints, SearchSpace
from autoseg_core.surfaces import SURFACES, evaluate_curve
from autoseg_core.surrogates.boundaries import XOR_FORMS
from autoseg_core.surrogates.kernels.boundary_curves import FastCurve, edge_form

X = torch.cat(
    [
        torch.linspace(-0.1, 1.1, 241, dtype=torch.float64),
        torch.logspace(-17, -1, 50, dtype=torch.float64),  # down to where the root's floor binds
    ]
)


def height_and_slope(surface: str, points: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """By ``surfaces`` and autograd."""
    x = x.clone().requires_grad_()
    height = evaluate_curve(surface, points, x)
    (slope,) = torch.autograd.grad(height.sum(), x)
    return height.detach(), slope


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("pieces", [None, 3])
@pytest.mark.parametrize("bound", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_heights_and_slopes(surface: str, pieces: int | None, bound: bool, seed: int) -> None:
    space = SearchSpace("BF1", surface, pieces, Constraints(truth_table=bound, monotone=bound))
    theta = np.random.default_rng(seed).random(space.dim)
    for points in torch.from_numpy(space.control_points(theta)):
        curve = FastCurve(surface, points, X.dtype)
        expected = height_and_slope(surface, points, X)
        torch.testing.assert_close(curve.height_and_slope(X), expected, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(curve.height(X), expected[0], rtol=1e-9, atol=1e-12)


STEEP = [
    [(0, 0), (0, 0.6), (1, 1)],  # vertical at 0
    [(0, 0), (1, 0.4), (1, 1)],  # vertical at 1
    [(0, 0), (0.703, 0.2), (0.703, 0.4), (0.703, 0.6), (1, 1)],  # a jump
    [(0, 0), (0, 0.5), (0, 0.5), (0.5, 0.5), (1, 1)],  # a jump at 0
    [(0, 0), (0.5, 0.2), (1, 0.5), (1, 0.7), (1, 1)],  # a jump at 1
    [(0, 0), (1e-35, 0.2), (2e-35, 0.5), (0.5, 0.7), (1, 1)],  # a piece too narrow for a slope
]


@pytest.mark.parametrize("line", STEEP)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_steep_curves(line: list[tuple[float, float]], dtype: torch.dtype) -> None:
    points, x = torch.tensor(line, dtype=dtype), X.to(dtype)
    height, slope = FastCurve("bezier", points, dtype).height_and_slope(x)
    expected, its_slope = height_and_slope("bezier", points, x)
    precision = {"rtol": 1e-9 if dtype == torch.float64 else 1e-4, "atol": 1e-6}
    torch.testing.assert_close(height, expected, **precision)
    torch.testing.assert_close(slope, its_slope, **precision)


def test_ends_are_exact() -> None:
    """The truth table holds to the last bit, also an ulp outside."""
    x = torch.tensor([-1e-7, 0.0, 1.0, 1.0000001])
    rng = np.random.default_rng(0)
    space = SearchSpace("BF1", "bezier", 3)
    for _ in range(50):
        for points in torch.from_numpy(space.control_points(rng.random(space.dim))).float():
            height, slope = FastCurve("bezier", points, x.dtype).height_and_slope(x)
            assert height.tolist() == [0, 0, 1, 1]
            assert not slope.any()


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("names", XOR_FORMS)
def test_forms_of_xor(names: tuple[str, ...], surface: str) -> None:
    """Value and slopes in p and e, against autograd through the readable form."""
    space = SearchSpace("BF1", surface)
    theta = np.random.default_rng(1).random(space.dim)
    points = torch.from_numpy(space.control_points(theta))[: len(names)]
    rng = np.random.default_rng(2)
    p, e = (torch.from_numpy(rng.random(200)).requires_grad_() for _ in range(2))
    curves = {
        name: lambda x, q=curve: evaluate_curve(surface, q, x)
        for name, curve in zip(names, points, strict=True)
    }
    expected = XOR_FORMS[names](curves, p, e)
    slopes = torch.autograd.grad(expected.sum(), (p, e))
    fast = [FastCurve(surface, curve, torch.float64) for curve in points]
    with torch.no_grad():
        torch.testing.assert_close(edge_form(names).height(fast, p, e), expected.detach())
        torch.testing.assert_close(edge_form(names).slopes(fast, p, e), slopes)
