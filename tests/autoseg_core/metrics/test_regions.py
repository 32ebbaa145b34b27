"""Region counts by hand: of the image and of the trimap, in runs and pixel by pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import samples
import torch

from autoseg_core.metrics.regions import region_counts

KINDS = [np.asarray, torch.as_tensor]


@pytest.mark.parametrize("kind", KINDS)
def test_counts_by_hand(kind: Any) -> None:
    target = kind([[[0, 0, 1, 1, 2, 4]]])
    prediction = kind([[[0, 1, 1, 1, 0, 3]]])
    near = kind([[[False, True, True, False, False, True]]])
    image, trimap = region_counts(prediction, target, near, num_classes=4)
    assert image.target.tolist() == [2, 2, 1, 0]
    assert image.intersection.tolist() == [1, 2, 0, 0]
    assert image.union.tolist() == [3, 3, 1, 0]
    assert image.pixels.tolist() == [5, 5, 5, 5]
    assert trimap.target.tolist() == [1, 1, 0, 0]
    assert trimap.intersection.tolist() == [0, 1, 0, 0]
    assert trimap.union.tolist() == [1, 2, 0, 0]
    assert trimap.pixels.tolist() == [2, 2, 2, 2]


@pytest.mark.parametrize("size", [0, 6])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_count(kind: Any, size: int) -> None:
    void = kind(np.full(size, 4, dtype=np.uint8))
    for counts in region_counts(void * 0, void, void > 0, num_classes=3):
        assert all(t.tolist() == [0, 0, 0] for t in counts.tensors())
        assert all(t.dtype == torch.int64 for t in counts.tensors())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [2, 21, 300])
@pytest.mark.parametrize("repeat", [1, 9], ids=["noise", "runs"])
def test_runs_and_pixels_are_counted_alike(kind: Any, classes: int, repeat: int) -> None:
    rng = np.random.default_rng(classes)
    prediction, target = (
        samples.label_maps(rng, classes, (2, 20, 20)).repeat(repeat, axis=2) for _ in range(2)
    )
    target[0, :3] = classes
    near = (rng.random((2, 20, 20)) < 0.5).repeat(repeat, axis=2)
    counts = region_counts(*(kind(x) for x in (prediction, target, near)), classes)
    for found, mask in zip(counts, [target < classes, near & (target < classes)], strict=True):
        table = np.zeros((classes, classes), dtype=int)
        np.add.at(table, (target[mask], prediction[mask]), 1)
        assert found.target.tolist() == table.sum(1).tolist()
        assert found.intersection.tolist() == table.diagonal().tolist()
        union = table.sum(1) + table.sum(0) - table.diagonal()
        assert found.union.tolist() == union.tolist()
        assert found.pixels.tolist() == [mask.sum()] * classes
