"""LabelMaps of NumPy arrays and of tensors: the same integers, those of the one-hot twin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import references
import samples
import torch

from autoseg_core.metrics.label_maps import LabelMaps
from autoseg_core.scores import Band

Array = np.ndarray[Any, Any]
KINDS = [np.asarray, torch.as_tensor]
REGIONS = ["image", "trimap", "boundary"]


def example(classes: int, noise: bool) -> tuple[Array, Array, Array]:
    """Prediction, target and valid pixels: areas, or noise in which every pixel is an edge."""
    rng = np.random.default_rng(classes)
    if noise:
        prediction, target = rng.integers(classes, size=(2, 2, 14, 18))
    else:
        target = samples.label_maps(rng, classes)
        other = samples.label_maps(rng, classes)
        prediction = np.where(rng.random(target.shape) < 0.7, target, other)
    return prediction, target, samples.with_void(rng, target) != samples.VOID


def twins(maps: tuple[Array, Array, Array], seen: Array, classes: int, drop: bool) -> list[Any]:
    prediction, target, valid = maps
    truth = references.one_hot(np.where(valid, target, -1), classes)
    guess = references.one_hot(prediction, classes) * seen[:, None]
    masks, rules = {"valid": valid, "seen": seen}, {"tolerance": 3, "drop_background": drop}
    return [references.count(m, truth, guess, masks, **rules) for m in ("mIoU", "BIoU", "BF1")]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("paper", [False, True])
@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("classes", [1, 8, 15, 19, 40, 150, 253, 254, 300])
def test_counts_equal_their_twins(kind: Any, paper: bool, noise: bool, classes: int) -> None:
    maps = example(classes, noise)
    seen = np.ones_like(maps[2]) if paper else maps[2]
    label_maps = LabelMaps(*map(kind, maps), kind(seen), classes, 3, paper)
    image, trimap, boundary = (label_maps.count(region) for region in REGIONS)
    expected = twins(maps, seen, classes, paper)
    for found, twin in zip((image, trimap), expected, strict=False):
        assert found.target.tolist() == twin["T"].tolist()
        assert found.intersection.tolist() == twin["I"].tolist()
        assert found.union.tolist() == twin["U"].tolist()
    assert [t.tolist() for t in boundary.tensors()] == [
        expected[2][key].tolist() for key in ("T", "TM", "P", "PM")
    ]


@pytest.mark.parametrize("classes", [5, 300])
@pytest.mark.parametrize("paper", [False, True])
def test_bands_are_those_of_tensors(classes: int, paper: bool) -> None:
    maps = example(classes, noise=False)
    seen = np.ones_like(maps[2]) if paper else maps[2]
    of_arrays, of_tensors = (
        LabelMaps(*map(kind, maps), kind(seen), classes, 3, False).count(Band(radius=2))
        for kind in KINDS
    )
    assert [t.tolist() for t in of_arrays.tensors()] == [t.tolist() for t in of_tensors.tensors()]


def test_what_is_not_asked_for_is_not_made() -> None:
    maps = example(5, noise=False)
    label_maps = LabelMaps(*maps, maps[2], 5, 3, False)
    label_maps.count("boundary")
    assert "near" not in vars(label_maps)
    assert "regions" not in vars(label_maps)
