"""Label maps as one-hot masks, for the readable surrogates of boundaries and bands."""

from __future__ import annotations

import torch
from torch import Tensor


def one_hot_mask(target: Tensor, mask: Tensor, num_classes: int) -> Tensor:
    """Pixels of each class, (N, C, H, W) bool; target (N, H, W) int64, mask (N, H, W) bool."""
    classes = torch.arange(num_classes, device=target.device).view(1, -1, 1, 1)
    return (target[:, None] == classes) & mask[:, None]
