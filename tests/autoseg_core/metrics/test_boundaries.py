"""Edges, bands and dilated sets of label maps by hand."""

from __future__ import annotations

import numpy as np
import pytest
import samples
import torch

from autoseg_core import SegmentationScores
from autoseg_core.metrics.boundaries import dilate, in_own_band, label_edges


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


@pytest.mark.parametrize("radius", [0, 1, 2, 4, 8])
def test_a_dilated_pixel_is_a_square(radius: int) -> None:
    """Without holes: the other tests dilate whole edges, whose pixels fill each other's."""
    sets = torch.zeros(1, 15, 21, dtype=torch.int64)
    sets[0, 6, 11] = 5
    rows, columns = torch.arange(15)[:, None], torch.arange(21)
    square = torch.maximum((rows - 6).abs(), (columns - 11).abs()) <= radius
    assert torch.equal(dilate(sets, radius)[0], 5 * square)


def test_bands_by_hand() -> None:
    labels = torch.tensor([[[0, 0, 0, 0, 1, 2, 2, 2]]])
    seen = torch.ones_like(labels, dtype=torch.bool)
    one, two = (in_own_band(labels, seen, d, border=False)[0, 0].int().tolist() for d in (1, 2))
    assert one == [0, 0, 0, 1, 1, 1, 0, 0]
    assert two == [0, 0, 1, 1, 1, 1, 1, 0]


def test_bands_of_paper_see_void_as_one_more_label_and_count_valid_pixels() -> None:
    target, guess = np.array([[0, 0, 255, 1, 1]]), np.array([[1, 0, 0, 1, 1]])
    name = "BoundaryIoU(radius=1,border=0)"
    scores = SegmentationScores(2, protocol="paper", metrics=[name])
    scores.update(guess, target)
    # Target bands: pixels 1 and 3. Predicted: 1 and 2, which is void, of class 0; 0 and 3 of 1.
    assert scores.per_class() == {name: [1.0, 0.5]}


def test_the_band_of_the_background_is_dropped() -> None:
    target, guess = np.array([[0, 0, 1, 1]]), np.array([[0, 1, 1, 1]])
    name = "BoundaryIoU(radius=2,border=0)"
    scores = SegmentationScores(2, drop_background=True, metrics=[name])
    scores.update(guess, target)
    # Bands of class 1: pixels 2, 3 and 1, 2; that of class 0 is left out.
    assert scores.compute()[name] == pytest.approx(1 / 3)
