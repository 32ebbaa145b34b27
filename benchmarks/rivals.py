"""What the losses are measured against: cross entropy, others' region losses, the one-hot form.

N: images; C: classes; H, W: pixels; K: control points of a curve. A loss takes logits
(N, C, H, W) and a target (N, H, W) int64 with void 255, and returns a scalar.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]
VOID = 255
SMP = "segmentation_models_pytorch"


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """The yardstick: PyTorch's own."""
    return F.cross_entropy(logits, target, ignore_index=VOID)


def smp_losses() -> dict[str, Loss]:
    """Region losses of Segmentation Models PyTorch by name; none where it is not installed."""
    if find_spec(SMP) is None:
        return {}
    from segmentation_models_pytorch import losses

    kinds = (losses.DiceLoss, losses.JaccardLoss, losses.LovaszLoss)
    return {f"SMP {kind.__name__}": kind("multiclass", ignore_index=VOID) for kind in kinds}


def one_hot_miou(points: list[list[tuple[float, float]]]) -> Loss:
    """The mIoU surrogate as its formulas stand: one-hot maps, both curves on all of (N, C, H, W).

    points: K control points (u, v) of g_and and of g_or, Bezier, u strictly increasing. Classes
    without target pixels are left out. (ASL, arXiv 2010.07930, sec. 3.)
    """
    return partial(_one_hot_miou, points)


def _one_hot_miou(
    points: list[list[tuple[float, float]]], logits: Tensor, target: Tensor
) -> Tensor:
    known = (target != VOID)[:, None]
    labels = torch.where(target != VOID, target, 0)
    y = F.one_hot(labels, logits.shape[1]).movedim(-1, 1).to(logits.dtype)
    p = logits.softmax(1)
    soft_and = _curve(points[0], p) * y * known
    soft_or = (y + _curve(points[1], p) * (1 - y)) * known
    present = (y * known).sum((0, 2, 3)) > 0
    return 1 - (soft_and.sum((0, 2, 3))[present] / soft_or.sum((0, 2, 3))[present]).mean()


def _curve(points: list[tuple[float, float]], x: Tensor) -> Tensor:
    height = torch.zeros_like(x)
    for k in range(0, len(points) - 2, 2):
        (u0, v0), (u1, v1), (u2, v2) = points[k : k + 3]
        a = (u1 - u0) / (u2 - u0)
        s = ((x - u0) / (u2 - u0)).clamp(0, 1)
        t = s / (a + (a**2 + (1 - 2 * a) * s).sqrt())
        piece = (1 - t) ** 2 * v0 + 2 * t * (1 - t) * v1 + t**2 * v2
        height = torch.where(x >= u0, piece, height)
    return height
