"""class_weights.py: weights by their definition, and as a user computes them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from auto_seg_loss.class_weights import WEIGHT_RULES, count_pixels
from auto_seg_loss.data.file_scan import look_at_labels

# Two images of 8 pixels, three classes and void: class 0 in both, 1 in the first, 2 in none.
LABELS = ([[0, 0, 0, 0], [1, 1, 9, 9]], [[0, 0, 0, 0], [0, 0, 0, 0]])


@pytest.fixture
def counts(tmp_path) -> np.ndarray:
    paths = [str(tmp_path / f"{number}.png") for number in range(len(LABELS))]
    for path, label in zip(paths, LABELS, strict=True):
        Image.fromarray(np.array(label, dtype=np.uint8)).save(path)
    return count_pixels(look_at_labels(paths).values(), num_classes=3, ignore_label=9)


def test_pixels_are_counted_without_void(counts):
    assert counts.tolist() == [[12, 14], [2, 6], [0, 0]]


def test_median_frequency(counts):
    # f = 12/14 and 2/6, their median 25/42
    expected = [25 / 42 / (12 / 14), 25 / 42 / (2 / 6), 0]
    assert WEIGHT_RULES.get("median_frequency")(counts) == pytest.approx(expected)


def test_inverse_frequency_weighs_pixels_by_one_on_average(counts):
    weights = WEIGHT_RULES.get("inverse_frequency")(counts)
    assert weights == pytest.approx([14 / 24, 14 / 4, 0])
    assert (weights * counts[:, 0]).sum() == pytest.approx(14)
