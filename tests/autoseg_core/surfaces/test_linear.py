"""Piecewise linear curves by hand."""

from __future__ import annotations

import numpy as np
import torch

from autoseg_core.surfaces import linear

POINTS = torch.tensor([(0, 0), (0.2, 0.5), (0.6, 0.5), (1, 1)], dtype=torch.float64)
X = torch.tensor([0.0, 0.1, 0.2, 0.4, 0.6, 0.7, 1.0], dtype=torch.float64)


def test_value_by_hand() -> None:
    expected = [0, 0.25, 0.5, 0.5, 0.5, 0.625, 1]
    np.testing.assert_allclose(linear.value(POINTS, X).numpy(), expected, rtol=1e-14)


def test_slope_by_hand_takes_the_later_piece_at_a_break_point() -> None:
    expected = [0, 2.5, 0, 0, 1.25, 1.25, 0]  # 0 at and beyond the ends
    np.testing.assert_allclose(linear.slope(POINTS, X).numpy(), expected, rtol=1e-14)


def test_agrees_with_numpy() -> None:
    x = torch.linspace(0, 1, 999, dtype=torch.float64)
    expected = np.interp(x.numpy(), POINTS[:, 0].numpy(), POINTS[:, 1].numpy())
    np.testing.assert_allclose(linear.value(POINTS, x).numpy(), expected, rtol=1e-13)
