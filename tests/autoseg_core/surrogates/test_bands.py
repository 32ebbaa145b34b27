"""Soft bands: at 0/1 maps exact, between them what the windows say."""

from __future__ import annotations

import closed_forms
import numpy as np
import pytest
import references
import samples
import torch

from autoseg_core.metrics.bands import in_own_band
from autoseg_core.scores import BoundaryBand
from autoseg_core.surrogates.bands import soft_band_counts, soft_bands

BORDER = pytest.mark.parametrize("border", [True, False])


@pytest.mark.parametrize("radius", [1, 2, 7, 30])
@BORDER
def test_bands_of_binary_maps_are_exact(radius: int, border: bool) -> None:
    rng = np.random.default_rng(radius)
    labels = samples.label_maps(rng, 4)
    seen = torch.from_numpy(samples.with_void(rng, labels) != samples.VOID)
    maps = torch.from_numpy(references.one_hot(labels, 4))
    exact = in_own_band(torch.from_numpy(labels), seen, radius, border)
    assert torch.equal(soft_bands(maps, seen, radius, border), maps * exact[:, None])


@pytest.mark.parametrize("radius", [1, 3])
@BORDER
def test_soft_bands_equal_their_twin(radius: int, border: bool) -> None:
    rng = np.random.default_rng(radius)
    p = torch.from_numpy(rng.random((2, 3, 9, 11)))
    seen = torch.from_numpy(rng.random((2, 9, 11)) < 0.7)
    eroded = closed_forms.lowest(p, seen[:, None], radius, outside=0.0 if border else 1.0)
    expected = (p - eroded) * seen[:, None]
    torch.testing.assert_close(soft_bands(p, seen, radius, border), expected)


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
