"""Surrogates: logits -> soft counts -> 1 - score = loss."""

from autoseg_core.surrogates.loss import AutoSegLoss
from autoseg_core.surrogates.soft import soft_loss

__all__ = ["AutoSegLoss", "soft_loss"]
