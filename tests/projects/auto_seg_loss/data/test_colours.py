"""auto_seg_loss.data.colours: a palette to fill in, from the labels themselves."""

from __future__ import annotations

import numpy as np
import pytest
from trees import write_label

from auto_seg_loss.data.catalog import make_pair
from auto_seg_loss.data.colours import palette_to_fill_in
from auto_seg_loss.data.labels import LabelError
from auto_seg_loss.data.verify import verify_dataset


@pytest.mark.parametrize(
    ("void", "rows"),
    [
        (255, "[[0, 0, 0, 0], [255, 255, 255, 255], [128, 128, 128, 1]]"),
        (0, "[[0, 0, 0, 0], [255, 255, 255, 1], [128, 128, 128, 2]]"),
        (1, "[[0, 0, 0, 0], [255, 255, 255, 2], [128, 128, 128, 3]]"),
    ],
)
def test_void_keeps_its_value_and_classes_are_numbered_by_their_share(tmp_path, void, rows):
    write_label(tmp_path / "a.png", np.uint8([[0, 0, 0], [255, 255, 128]]))
    words = palette_to_fill_in([str(tmp_path / "a.png")], void)
    assert f'"{rows}" (shares of the pixels: 50 %, 33.3 %, 16.7 %)' in words


def test_too_many_colours_are_no_classes(tmp_path):
    write_label(tmp_path / "a.png", np.arange(256, dtype=np.uint8).reshape(16, 16))
    words = palette_to_fill_in([str(tmp_path / "a.png")], 255)
    assert "more than 64 colours" in words and "antialiasing" in words


def test_all_colours_of_a_set_are_in_one_error(tmp_path):
    pairs = []
    for name, colour in ("a", (9, 0, 0)), ("b", (0, 9, 0)):
        write_label(tmp_path / f"{name}.png", np.full((2, 2, 3), colour, np.uint8))
        write_label(tmp_path / f"{name}.bmp", np.zeros((2, 2), np.uint8))
        pairs.append(make_pair(name, tmp_path / f"{name}.bmp", tmp_path / f"{name}.png"))
    with pytest.raises(LabelError, match=r"data set 'odd': .*\[9, 0, 0, 0\], \[0, 9, 0, 1\]"):
        verify_dataset("odd", pairs)
