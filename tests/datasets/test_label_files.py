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


@pytest.mark.parametrize("content", [None, b"", b"no picture"])
def test_missing_and_damaged_files_hold_nothing(tmp_path, content):
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    assert not holds(tmp_path / "a.png", LABEL, False)


@pytest.mark.parametrize("mode", ["RGB", "LA"])
def test_other_kinds_of_files_are_refused(tmp_path, mode):
    Image.new(mode, (2, 2)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=rf"a\.png: .* one class index per pixel .*mode {mode}"):
        read_indices(tmp_path / "a.png")


def test_values_are_classes_or_void():
    check_values(LABEL, 3)
    with pytest.raises(
        ValueError, match=r"label values 2 are neither a class \(0\.\.1\) nor .*\(255\)"
    ):
        check_values(LABEL, 2)


def test_sixteen_bits_are_read(tmp_path):
    Image.fromarray(np.array([[0, 2, 255]], dtype=np.uint16)).save(tmp_path / "a.png")
    label = read_indices(tmp_path / "a.png", 3)
    assert (label.tolist(), label.dtype) == ([[0, 2, 255]], np.uint8)
    Image.fromarray(np.array([[0, 256]], dtype=np.uint16)).save(tmp_path / "b.png")
    with pytest.raises(ValueError, match="label values 256 are neither a class"):
        read_indices(tmp_path / "b.png")


def test_a_jpeg_is_refused_whatever_its_name(tmp_path):
    Image.fromarray(LABEL).save(tmp_path / "a.png", format="JPEG")
    with pytest.raises(ValueError, match=r"a\.png: .* lossless .* this file is lossy \(JPEG\)"):
        read_indices(tmp_path / "a.png")
