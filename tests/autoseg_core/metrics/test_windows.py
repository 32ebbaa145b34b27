"""Sliding windows, against SciPy's filters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from autoseg_core.metrics.windows import window

SHAPES = [(2, 14, 18), (1, 1, 17), (1, 17, 1), (3, 2, 2), (1, 1, 1), (0, 4, 4)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("radius", [0, 1, 5, 20])
def test_windows_equal_scipys(shape: tuple[int, int, int], radius: int) -> None:
    labels = np.random.default_rng(radius).integers(1, 100, shape)
    maps, size = torch.from_numpy(labels), (1, 2 * radius + 1, 2 * radius + 1)
    least = window(maps, radius, torch.minimum, outside=200)
    expected = ndimage.minimum_filter(labels, size, mode="constant", cval=200)
    assert np.array_equal(least.numpy(), expected)
    most = window(maps, radius, torch.maximum, outside=0)
    assert np.array_equal(most.numpy(), ndimage.maximum_filter(labels, size, mode="constant"))
    odd = window(maps % 2 == 1, radius, torch.logical_or, outside=0)
    assert np.array_equal(odd.numpy(), ndimage.maximum_filter(labels % 2, size, mode="constant"))
