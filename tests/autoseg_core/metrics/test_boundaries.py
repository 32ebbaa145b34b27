"""Exact boundary counts: edges, dilated class sets, the trimap; against one-hot twins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import references
import samples
import torch

from autoseg_core.metrics.boundaries import (
    BITS,
    boundary_counts,
    class_sets,
    dilate,
    label_edges,
)

SHAPES = [(2, 14, 18), (1, 1, 17), (1, 1, 1)]


def everywhere(labels: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(labels, dtype=torch.bool)


def test_an_edge_is_inner_and_one_pixel_wide() -> None:
    labels = torch.tensor([[[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0]]])
    expected = [[1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 0, 1, 1], [1, 1, 0, 1, 1]]
    assert label_edges(labels, everywhere(labels), 2)[0].int().tolist() == expected


def test_the_image_border_is_not_an_edge() -> None:
    labels = torch.zeros(1, 3, 4, dtype=torch.int64)
    assert not label_edges(labels, everywhere(labels), 1).any()


def test_an_unseen_pixel_neither_is_nor_makes_an_edge() -> None:
    labels = torch.tensor([[[0, 0, 255, 1, 1, 0]]])
    edges = label_edges(labels, labels != 255, 2)
    assert edges[0, 0].int().tolist() == [0, 0, 0, 0, 1, 1]


def test_a_label_beyond_the_classes_makes_edges_but_has_none() -> None:
    labels = torch.tensor([[[0, 0, 2, 2, 1, 1]]])
    edges = label_edges(labels, everywhere(labels), 2)
    assert edges[0, 0].int().tolist() == [0, 1, 0, 0, 1, 0]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("radius", "classes"), [(0, 3), (2, 130), (8, 63)])
def test_dilated_sets_equal_dilated_one_hot_maps(
    shape: tuple[int, int, int], radius: int, classes: int
) -> None:
    rng = np.random.default_rng(radius)
    labels = samples.label_maps(rng, classes, shape)
    mask = rng.random(shape) < 0.2
    maps = references.one_hot(np.where(mask, labels, -1), classes)
    tensor = torch.from_numpy(labels)
    sets = dilate(class_sets(tensor, torch.from_numpy(mask), classes), radius)
    dilated = references.dilate(maps, radius)
    for label in {0, 1, 61, 62, 63, 124, classes - 1} & set(range(classes)):
        holds = ((sets[label // BITS] >> (label % BITS)) & 1).bool()
        assert np.array_equal(holds.numpy(), dilated[:, label] > 0)


def counted(prediction: Any, target: Any, seen: Any, classes: int, tolerance: int) -> Any:
    maps = (torch.from_numpy(x) for x in (prediction, target, seen))
    return boundary_counts(*maps, classes, tolerance)


def test_a_shift_within_the_tolerance_is_a_full_match() -> None:
    target, prediction = (np.zeros((1, 9, 12), dtype=np.int64) for _ in range(2))
    target[..., 6:] = 1
    prediction[..., 8:] = 1
    seen = np.ones_like(target) > 0
    near = counted(prediction, target, seen, 2, 2)
    assert near.matched_target.tolist() == near.target.tolist() == [9, 9]
    assert near.matched_prediction.tolist() == near.prediction.tolist() == [9, 9]
    far = counted(prediction, target, seen, 2, 1)
    assert far.matched_target.tolist() == far.matched_prediction.tolist() == [0, 0]
