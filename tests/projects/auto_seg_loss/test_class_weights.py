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


def test_pixels_are_counted_without_void_and_weighted_by_frequency(counts):
    assert counts.tolist() == [[12, 14], [2, 6], [0, 0]]
    # f = 12/14 and 2/6, their median 25/42
    median = [25 / 42 / (12 / 14), 25 / 42 / (2 / 6), 0]
    assert WEIGHT_RULES["median_frequency"](counts) == pytest.approx(median)
    inverse = WEIGHT_RULES["inverse_frequency"](counts)
    assert inverse == pytest.approx([14 / 24, 14 / 4, 0])
    assert (inverse * counts[:, 0]).sum() == pytest.approx(14)  # one a pixel on average
