"""Edges, bands and dilated class sets of label maps: by hand, and against one-hot twins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import references
import samples
import torch
from scipy import ndimage

from autoseg_core import SegmentationScores
from autoseg_core.metrics.boundaries import (
    BITS,
    boundary_counts,
    class_sets,
    dilate,
    in_own_band,
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


BORDER = pytest.mark.parametrize("border", [True, False])


def eroded_alone(labels: Any, seen: Any, radius: int, classes: int, border: bool) -> Any:
    """Each class less its erosion, (N, C, H, W) bool; what is unseen erodes nothing."""
    size = (1, 2 * radius + 1, 2 * radius + 1)
    bands = []
    for c in range(classes):
        own = (labels == c) & seen
        known, outside = (own | ~seen).astype(int), 0 if border else 1
        core = ndimage.minimum_filter(known, size, mode="constant", cval=outside)
        bands.append(own & (core == 0))
    return np.stack(bands, axis=1)


def test_bands_by_hand() -> None:
    labels = torch.tensor([[[0, 0, 0, 0, 1, 2, 2, 2]]])
    seen = torch.ones_like(labels, dtype=torch.bool)
    one, two = (in_own_band(labels, seen, d, border=False)[0, 0].int().tolist() for d in (1, 2))
    assert one == [0, 0, 0, 1, 1, 1, 0, 0]
    assert two == [0, 0, 1, 1, 1, 1, 1, 0]


def test_bands_at_the_image_border_by_hand() -> None:
    labels = torch.zeros(1, 5, 5, dtype=torch.int64)
    seen = torch.ones_like(labels, dtype=torch.bool)
    inner = torch.tensor([[1, 1, 1, 1, 1], [1, 0, 0, 0, 1]])[[0, 1, 1, 1, 0]]
    assert in_own_band(labels, seen, 1, border=True)[0].int().tolist() == inner.tolist()
    assert in_own_band(labels, seen, 3, border=True).all()
    assert not in_own_band(labels, seen, 3, border=False).any()


def published_band(mask: Any, width: int) -> Any:
    """As Cheng et al. compute it: framed by one 0, eroded ``width`` times by 3x3; (H, W) bool."""
    frame = np.pad(mask, 1)
    square = np.ones((3, 3), dtype=bool)
    core = ndimage.binary_erosion(frame, square, iterations=width, border_value=1)
    return mask & ~core[1:-1, 1:-1]


@pytest.mark.parametrize(("name", "width"), [("(radius=3)", 3), ("", 1), ("(diagonal=0.1)", 3)])
def test_the_published_definition_of_bands(name: str, width: int) -> None:
    rng = np.random.default_rng(0)
    target, guess = samples.label_maps(rng, 3, (1, 20, 24)), samples.label_maps(rng, 3, (1, 20, 24))
    target = np.where(rng.random(target.shape) < 0.5, guess, target)
    scores = SegmentationScores(3, metrics=["BoundaryIoU" + name])
    scores.update(guess, target)
    bands = [
        [published_band(labels[0] == c, width) for labels in (target, guess)] for c in range(3)
    ]
    (values,) = scores.per_class().values()
    assert values == pytest.approx([(a & b).sum() / (a | b).sum() for a, b in bands])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("radius", [1, 5])
@BORDER
def test_all_bands_at_once_are_those_of_each_class(
    shape: tuple[int, int, int], radius: int, border: bool
) -> None:
    rng = np.random.default_rng(radius)
    labels = samples.with_void(rng, samples.label_maps(rng, 4, shape))
    seen = labels != samples.VOID
    bands = in_own_band(torch.from_numpy(labels), torch.from_numpy(seen), radius, border)
    expected = eroded_alone(labels, seen, radius, 4, border).any(axis=1)
    assert np.array_equal(bands.numpy(), expected)


def test_bands_of_paper_see_void_as_one_more_label_and_count_valid_pixels() -> None:
    target, guess = np.array([[0, 0, 255, 1, 1]]), np.array([[0, 0, 0, 1, 1]])
    name = "BoundaryIoU(radius=1,border=0)"
    scores = SegmentationScores(2, protocol="paper", metrics=[name])
    scores.update(guess, target)
    # Target bands: pixels 1 and 3. Predicted: 2, in void, and 3.
    assert scores.per_class() == {name: [0.0, 1.0]}


def test_the_band_of_the_background_is_dropped() -> None:
    target, guess = np.array([[0, 0, 1, 1]]), np.array([[0, 1, 1, 1]])
    name = "BoundaryIoU(radius=2,border=0)"
    scores = SegmentationScores(2, drop_background=True, metrics=[name])
    scores.update(guess, target)
    # Bands of class 1: pixels 2, 3 and 1, 2; that of class 0 is left out.
    assert scores.compute()[name] == pytest.approx(1 / 3)
