"""Borders that can be counted. What is seen of a network: test_trials.py."""

from __future__ import annotations

import math

import numpy as np
import pytest

from auto_seg_loss.study.inspection import border_length, jaggedness
from autoseg_core import SegmentationScores

HEIGHT, WIDTH, MIDDLE = 24, 32, 12


def halves(rows: np.ndarray | int = MIDDLE) -> np.ndarray:
    """Class 1 below the given row of each column, class 0 above."""
    return (np.arange(HEIGHT)[:, None] >= np.broadcast_to(rows, WIDTH)).astype(np.int64)


def counts(prediction, target, tolerance=3):
    scores = SegmentationScores(2, tolerance=tolerance, metrics=("BF1",))
    scores.update(prediction, target)
    return scores.counts["boundary"]


def test_a_shifted_border_is_not_jagged():
    found = counts(halves(MIDDLE + 2), halves())
    assert border_length(found) == jaggedness(found) == 1.0


def test_a_zigzag_inside_the_band_is_jagged_where_bf1_sees_nothing():
    zigzag = halves(MIDDLE + np.arange(WIDTH) % 2 * 2)  # teeth two pixels high
    found = counts(zigzag, halves())
    # Teeth of class 0 are two rows high: four edge pixels for two columns.
    assert jaggedness(found) == pytest.approx(2.0, rel=0.1)
    scores = SegmentationScores(2, tolerance=3, metrics=("BF1",))
    scores.update(zigzag, halves())
    assert scores.compute() == {"BF1": 1.0}


def test_an_island_far_away_makes_the_border_longer_but_not_jagged():
    island = halves()
    island[2:5, 4:7] = 1
    found = counts(island, halves(), tolerance=2)
    assert jaggedness(found) == 1.0
    # Of class 1 also the ring of 3 x 3 pixels, of class 0 the ring of 5 x 5 around it.
    assert border_length(found) == ((WIDTH + 8) / WIDTH + (WIDTH + 16) / WIDTH) / 2


def test_classes_without_a_border_have_no_value():
    found = counts(halves(), np.zeros((HEIGHT, WIDTH), dtype=np.int64))
    assert math.isnan(border_length(found)) and math.isnan(jaggedness(found))
