"""Piecewise linear curves on [0, 1] (ASL, arXiv 2010.07930, ablation).

P: pieces; K = P + 1 break points (u, v), ends included.
"""

from __future__ import annotations

import torch
from torch import Tensor

from autoseg_core.numerics import tiny


def value(points: Tensor, x: Tensor) -> Tensor:
    """Height of the curve at ``x``; arguments, ends and jumps as in ``bezier.value``."""
    index, start = _locate(points, x)
    inside = points[:, 1][index] + _slopes(points)[index] * (x - start)
    return torch.where(x <= 0, points[0, 1], torch.where(x >= 1, points[-1, 1], inside))


def slope(points: Tensor, x: Tensor) -> Tensor:
    """Derivative of ``value`` at ``x``; 0 outside (0, 1)."""
    index, _ = _locate(points, x)
    return torch.where((x > 0) & (x < 1), _slopes(points)[index], torch.zeros_like(x))


def pieces(points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The pieces as quadratic Bezier pieces with midpoints in the middle; see ``bezier.pieces``."""
    start, end = points[..., :-1, :], points[..., 1:, :]
    return start, torch.lerp(start, end, 0.5), end


def _locate(points: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    index = torch.zeros_like(x, dtype=torch.long)
    for joint in points[1:-1, 0].detach():
        index = index + (x >= joint)
    return index, points[:, 0][index]


def _slopes(points: Tensor) -> Tensor:
    width, rise = (points[1:] - points[:-1]).unbind(1)
    positive = width > tiny(width.dtype)
    return torch.where(positive, rise / torch.where(positive, width, torch.ones_like(width)), 0.0)
