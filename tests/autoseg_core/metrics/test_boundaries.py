"""Edges and bands of label maps by hand, and bands as published."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import samples
import torch
from scipy import ndimage

from autoseg_core import SegmentationScores
from autoseg_core.metrics.boundaries import in_own_band, label_edges


@pytest.mark.parametrize(
    ("labels", "edges"),
    [
        (
            [[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0]],
            [[1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 0, 1, 1], [1, 1, 0, 1, 1]],
        ),
        ([[0, 0, 255, 1, 1, 0]], [[0, 0, 0, 0, 1, 1]]),
        ([[0, 0, 2, 2, 1, 1]], [[0, 1, 0, 0, 1, 0]]),
    ],
    ids=["inner, and not the image border", "unseen", "beyond the classes"],
)
def test_edges_of_two_classes_by_hand(labels: list[list[int]], edges: list[list[int]]) -> None:
    maps = torch.tensor([labels])
    assert label_edges(maps, maps != samples.VOID, 2)[0].int().tolist() == edges


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
