"""The scale of candidates: each trains at the learning rate that suits cross entropy.

Gradients of surrogates differ by a factor of a hundred, so that at one learning rate a search would
find steep curves instead of good ones.

N: images; C: classes; H, W: pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from autoseg_core import AutoSegLoss, LossSpec, gradient_scale

Batches = Sequence[tuple[Tensor, Tensor]]
"""Logits (N, C, H, W) and targets (N, H, W)."""


def scaled(spec: LossSpec, batches: Batches, ignore_value: int) -> LossSpec:
    """The spec with cross entropy's mean gradient on ``batches``; as it is without any.

    ``ValueError`` for a loss that is flat there.
    """
    if not batches:
        return spec
    return spec.scaled(gradient_scale(AutoSegLoss(spec, ignore_value), batches))
