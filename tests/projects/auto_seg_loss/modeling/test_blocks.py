"""modeling/blocks.py: sizes, norms and the first logits."""

from __future__ import annotations

import torch

from auto_seg_loss.modeling.blocks import (
    fully_convolutional,
)

FEATURE = torch.rand(2, 4, 5, 7)


def test_first_logits_are_small():
    head = fully_convolutional(4, 8, 3, kernel_size=3, norm="BN", dropout=0.1)
    logits = head(FEATURE)
    assert logits.shape == (2, 3, 5, 7) and logits.abs().max() < 0.05
