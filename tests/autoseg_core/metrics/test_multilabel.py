"""Exact scores of multi-label maps and of volumes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from autoseg_core import SegmentationScores

METRICS = ["mIoU", "Dice", "mPrecision", "mSpecificity"]


def test_multilabel_by_hand() -> None:
    target = torch.tensor([[[[1, 1, 0, 255]], [[0, 0, 1, 1]]]])
    prediction = torch.tensor([[[[1, 0, 1, 1]], [[0, 0, 1, 1]]]])
    scores = SegmentationScores(2, metrics=METRICS, multilabel=True)
    scores.update(prediction, target)
    assert scores.compute() == pytest.approx(
        {"mIoU": (1 / 3 + 1) / 2, "Dice": 0.75, "mPrecision": 0.75, "mSpecificity": 0.5}
    )
    assert scores.per_class()["IoU"] == pytest.approx([1 / 3, 1])


@pytest.mark.parametrize("shape", [(2, 9, 7), (2, 4, 5, 3)])
def test_classes_that_exclude_each_other_score_as_label_maps_do(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    guess, truth = rng.integers(4, size=shape), rng.integers(4, size=shape)
    guess[truth == 3] = 0
    plain = SegmentationScores(4, metrics=METRICS)
    plain.update(guess, truth)
    maps = SegmentationScores(4, metrics=METRICS, multilabel=True)
    maps.update(*(np.stack([labels == c for c in range(4)], axis=1) for labels in (guess, truth)))
    assert maps.compute() == plain.compute()
    assert maps.per_class() == plain.per_class()


def test_one_class_needs_no_axis_of_its_own() -> None:
    rng = np.random.default_rng(1)
    guess, truth = rng.integers(2, size=(2, 3, 5, 6))
    truth[:, 0] = 255
    guess[:, 0] = 17  # void: may be anything
    short, long, mixed = (SegmentationScores(1, metrics=["mIoU"], multilabel=True) for _ in "abc")
    short.update(guess, truth)
    long.update(guess[:, None], truth[:, None])
    mixed.update(guess[:, None], truth)
    assert short.compute() == long.compute() == mixed.compute()
    assert 0 < short.compute()["mIoU"] < 1


def test_what_a_masked_array_masks_is_void_and_so_are_several_labels() -> None:
    truth = np.array([[[[0, 1, 1, 0]]]])
    masked = np.ma.array(truth, mask=[[[[False, False, True, False]]]])
    scores = SegmentationScores(1, [7, 255], metrics=["mIoU"], multilabel=True)
    scores.update(np.ones_like(truth), masked)
    assert scores.compute() == {"mIoU": 1 / 3}
    scores.update(np.ones_like(truth), np.array([[[[7, 1, 255, 7]]]]))
    assert scores.compute() == {"mIoU": 2 / 4}


def test_volumes_count_every_voxel() -> None:
    rng = np.random.default_rng(3)
    guess, truth = rng.integers(3, size=(2, 2, 4, 5, 6))
    volume, slices = SegmentationScores(3, metrics=METRICS), SegmentationScores(3, metrics=METRICS)
    volume.update(guess, truth)
    slices.update(guess.reshape(-1, 5, 6), truth.reshape(-1, 5, 6))
    assert volume.compute() == slices.compute()
