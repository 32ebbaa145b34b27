"""Exact scores of multi-label maps and of volumes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from autoseg_core import SegmentationScores
from autoseg_core.scores import PAPER_METRICS

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


def test_no_void_label_comes_around() -> None:
    maps = np.full((1, 1, 2, 2), 1, np.uint8)
    scores = SegmentationScores(1, ignore_index=257, metrics=["mIoU"], multilabel=True)
    scores.update(maps, maps)
    assert scores.compute() == {"mIoU": 1.0}
    with pytest.raises(ValueError, match=r"target of .*void is -1.*\[255\]"):
        SegmentationScores(1, ignore_index=-1, metrics=["mIoU"], multilabel=True).update(
            maps, maps * 255
        )


@pytest.mark.parametrize("view", [lambda x: x[..., ::-1], lambda x: x.astype(">i4")])
def test_any_view_and_byte_order(view: Any) -> None:
    maps = np.random.default_rng(4).integers(2, size=(2, 3, 4, 5))
    scores = SegmentationScores(3, metrics=["mIoU"], multilabel=True)
    scores.update(view(maps), view(maps))
    assert scores.compute() == {"mIoU": 1.0}


@pytest.mark.parametrize("value", [0, 1])
def test_void_is_no_value_of_a_map(value: int) -> None:
    with pytest.raises(ValueError, match=rf"void needs another ignore_index, got {value}\."):
        SegmentationScores(2, ignore_index=value, metrics=["mIoU"], multilabel=True)


def test_what_a_masked_array_masks_is_void_and_so_are_several_labels() -> None:
    truth = np.array([[[[0, 1, 1, 0]]]])
    masked = np.ma.array(truth, mask=[[[[False, False, True, False]]]])
    scores = SegmentationScores(1, [7, 255], metrics=["mIoU"], multilabel=True)
    scores.update(np.ones_like(truth), masked)
    assert scores.compute() == {"mIoU": 1 / 3}
    scores.update(np.ones_like(truth), np.array([[[[7, 1, 255, 7]]]]))
    assert scores.compute() == {"mIoU": 2 / 4}


def test_probabilities_are_no_labels() -> None:
    scores = SegmentationScores(1, metrics=["mIoU"], multilabel=True)
    with pytest.raises(ValueError, match=r"prediction must hold bools.*p > 0\.5"):
        scores.update(torch.zeros(1, 2, 2), torch.zeros(1, 2, 2, dtype=torch.int64))


def test_batches_add_up_and_merge() -> None:
    rng = torch.Generator().manual_seed(2)
    guess, truth = torch.randint(2, (2, 6, 3, 4, 4), generator=rng)
    whole, first, second = (
        SegmentationScores(3, metrics=METRICS, multilabel=True) for _ in range(3)
    )
    whole.update(guess, truth)
    first.update(guess[:2], truth[:2])
    second.update(guess[2:], truth[2:])
    assert first.merge(second).compute() == whole.compute()


def test_volumes_count_every_voxel() -> None:
    rng = np.random.default_rng(3)
    guess, truth = rng.integers(3, size=(2, 2, 4, 5, 6))
    volume, slices = SegmentationScores(3, metrics=METRICS), SegmentationScores(3, metrics=METRICS)
    volume.update(guess, truth)
    slices.update(guess.reshape(-1, 5, 6), truth.reshape(-1, 5, 6))
    assert volume.compute() == slices.compute()


def test_boundaries_of_volumes_and_multilabel_maps_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Multi-label maps have exact .* not of BIoU, BF1: name"):
        SegmentationScores(3, multilabel=True)
    assert "BF1" in PAPER_METRICS
    volume = np.zeros((1, 2, 4, 4), int)
    words = r"Volumes .*\(1, 2, 4, 4\), have exact scores .* not of BIoU, BF1.*multilabel=True"
    with pytest.raises(ValueError, match=words):
        SegmentationScores(3).update(volume, volume)
    with pytest.raises(ValueError, match=r"same shape; got \(2, 3, 4, 4\) and \(3, 2, 4, 4\)"):
        SegmentationScores(2, metrics=["mIoU"]).update(
            np.zeros((2, 3, 4, 4), int), np.zeros((3, 2, 4, 4), int)
        )


@pytest.mark.parametrize(
    ("guess", "truth", "words"),
    [
        (torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2), r"target must be .* got \(1, 2, 2\)"),
        (torch.zeros(3, 2, 2), torch.zeros(3, 2, 2), r"prediction must be .* got \(3, 2, 2\)"),
        (torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2), r"each of C = 3 classes, got \(1, 2"),
        (torch.zeros(1, 3, 2, 2), torch.zeros(2, 3, 2, 2), r"same shape; got \(1, 3, 2, 2\) and"),
        (torch.full((1, 3, 2, 2), 2), torch.zeros(1, 3, 2, 2), r"prediction of .* 0 and 1 .*\[2\]"),
        (torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 7), r"target of .*void is 255.*\[7\]"),
    ],
)
def test_errors(guess: Any, truth: Any, words: str) -> None:
    scores = SegmentationScores(3, metrics=["mIoU"], multilabel=True)
    with pytest.raises(ValueError, match=words):
        scores.update(guess.long(), truth.long())
