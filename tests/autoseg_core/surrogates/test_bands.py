"""Soft bands: at 0/1 maps exact, between them what the windows say."""

from __future__ import annotations

import torch

from autoseg_core.scores import BoundaryBand
from autoseg_core.surrogates.bands import soft_band_counts


def test_counts_by_hand() -> None:
    p = torch.tensor([[[[0.9, 0.8, 0.3, 0.1]], [[0.1, 0.2, 0.7, 0.9]]]], dtype=torch.float64)
    target = torch.tensor([[[0, 0, 1, 255]]])
    curves = {"and": lambda b: b**2, "or": lambda b: b.sqrt()}
    valid = target != 255
    counts = soft_band_counts(p, target, valid, valid, curves, BoundaryBand(radius=1, border=False))
    # Bands of p: 0.1, 0.5, 0 and 0, 0.1, 0.5; the truth's band: pixels 1 and 2.
    assert counts.target.tolist() == [1, 1]
    torch.testing.assert_close(counts.intersection, torch.tensor([0.5, 0.5]).double() ** 2)
    claimed = torch.tensor([0.1, 0.1]).double().sqrt()
    torch.testing.assert_close(counts.union, 1 + claimed)
    assert counts.pixels.tolist() == [3, 3]
