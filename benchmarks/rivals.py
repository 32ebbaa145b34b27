"""What the losses are measured against: cross entropy and others' region losses.

N: images; C: classes; H, W: pixels. A loss takes logits (N, C, H, W) and a target (N, H, W) int64
with void 255, and returns a scalar.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]
VOID = 255
SMP = "segmentation_models_pytorch"


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """The yardstick: PyTorch's own."""
    return F.cross_entropy(logits, target, ignore_index=VOID)


def interpolated_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """The same of logits (N, C, h, w) that are yet to be upsampled."""
    return cross_entropy(F.interpolate(logits, target.shape[-2:], mode="bilinear"), target)


def smp_losses() -> dict[str, Loss]:
    """Region losses of Segmentation Models PyTorch by name; none where it is not installed."""
    if find_spec(SMP) is None:
        return {}
    from segmentation_models_pytorch import losses

    kinds = (losses.DiceLoss, losses.JaccardLoss, losses.LovaszLoss)
    return {f"SMP {kind.__name__}": kind("multiclass", ignore_index=VOID) for kind in kinds}
