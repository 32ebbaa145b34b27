"""Surrogates: logits -> soft counts -> 1 - score = loss."""

from autoseg_core.surrogates.loss import AutoSegLoss

__all__ = ["AutoSegLoss"]
