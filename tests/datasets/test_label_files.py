"""datasets/label_files.py: indices as they are, values checked, whole files only."""

from __future__ import annotations

import numpy as np
import pytest
from label_files import check_values, holds, read_indices, write_label, write_whole
from PIL import Image

LABEL = np.array([[0, 1, 255], [2, 1, 0]], dtype=np.uint8)


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def broken(partial_path):
        partial_path.write_text("ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, broken)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("palette", "mode"), [(True, "P"), (False, "L")])
def test_what_is_written_is_read(tmp_path, palette, mode):
    path = tmp_path / "folder" / "a.png"
    write_label(path, LABEL, palette)
    with Image.open(path) as picture:
        assert picture.mode == mode
    np.testing.assert_array_equal(read_indices(path), LABEL)
    assert holds(path, LABEL, palette) and not holds(path, LABEL, not palette)
    assert not holds(path, LABEL + np.uint8(1), palette)
    assert not holds(path, LABEL[:1], palette)


@pytest.mark.parametrize("content", [None, b"no picture"])
def test_missing_and_damaged_files_hold_nothing(tmp_path, content):
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    assert not holds(tmp_path / "a.png", LABEL, False)


def test_values_are_classes_or_void(tmp_path):
    check_values(LABEL, 3)
    with pytest.raises(ValueError, match="label values 2 "):
        check_values(LABEL, 2)
    Image.fromarray(np.array([[0, 2, 255]], dtype=np.uint16)).save(tmp_path / "a.png")
    label = read_indices(tmp_path / "a.png", 3)
    assert (label.tolist(), label.dtype) == ([[0, 2, 255]], np.uint8)
    Image.fromarray(np.array([[0, 256]], dtype=np.uint16)).save(tmp_path / "b.png")
    with pytest.raises(ValueError, match="label values 256 "):
        read_indices(tmp_path / "b.png")
