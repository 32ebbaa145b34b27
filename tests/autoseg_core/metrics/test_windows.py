"""Frames and sliding windows, against SciPy's filters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from autoseg_core.metrics.arrays import library
from autoseg_core.metrics.windows import framed, inside, room, window

KINDS = [np.asarray, torch.as_tensor]
SHAPES = [(2, 14, 18), (1, 1, 17), (1, 17, 1), (3, 2, 2), (1, 1, 1), (0, 4, 4)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("unseen", "dtype"), [(22, "uint8"), (255, "uint8"), (256, "int16"), (32768, "int64")]
)
def test_a_frame_hides_what_is_not_seen(kind: Any, unseen: int, dtype: str) -> None:
    frame = framed(kind([[[1, -7], [3, 900]]]), kind([[[True, False], [True, False]]]), unseen, 2)
    assert str(frame.dtype).endswith(dtype)
    assert inside(frame, 2).tolist() == [[[1, unseen], [3, unseen]]]
    assert (frame == unseen).sum() == frame.shape[1] * frame.shape[2] - 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("radius", [0, 1, 2, 5, 8])
def test_windows_equal_scipys(kind: Any, shape: tuple[int, int, int], radius: int) -> None:
    labels = np.random.default_rng(radius).integers(1, 100, shape)
    size = (1, 2 * radius + 1, 2 * radius + 1)
    low = framed(kind(labels), kind(labels > 0), 200, radius + 1)
    least = inside(window(low, radius, library(low).minimum), radius + 1)
    expected = ndimage.minimum_filter(labels, size, mode="constant", cval=200)
    assert np.array_equal(np.asarray(least), expected)
    high = framed(kind(labels), kind(labels > 0), 0, radius + 1)
    most = inside(window(high, radius, library(high).maximum), radius + 1)
    assert np.array_equal(np.asarray(most), ndimage.maximum_filter(labels, size, mode="constant"))
    assert np.array_equal(np.asarray(inside(high, radius + 1)), labels), "the input is left alone"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("radius", [1, 2, 3, 4, 5])
def test_buffers_may_hold_the_input(kind: Any, radius: int) -> None:
    maps = framed(*(kind(x) for x in (np.eye(9, dtype=int)[None], np.ones((1, 9, 9)) > 0)), 0, 5)
    expected = window(maps, radius, library(maps).maximum)
    buffers = [kind(np.zeros(room(maps, radius), dtype=np.uint8)) for _ in range(2)]
    start = buffers[1][: 19 * 19].reshape(1, 19, 19)
    start[...] = maps
    found = window(start, radius, library(maps).maximum, buffers)
    assert inside(found, 5).tolist() == inside(expected, 5).tolist()
