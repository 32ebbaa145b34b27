"""auto_seg_loss.data.file_scan: what files hold, and when they are looked at again."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from PIL import Image

from auto_seg_loss.data.file_scan import Seen, look_at_images, look_at_labels

PALETTE = [[0, 0, 0, 7], [1, 1, 1, 8]]


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def paths(tmp_path):
    """Labels [[0, 1, 1]] and [[0, 0, 300]], 16 bits."""
    folder = tmp_path / "labels"
    folder.mkdir()
    Image.fromarray(np.array([[0, 1, 1]], dtype=np.uint8)).save(folder / "a.png")
    Image.fromarray(np.array([[0, 0, 300]], dtype=np.uint16)).save(folder / "b.png")
    return [str(folder / "a.png"), str(folder / "b.png")]


def spoil(path):
    """Other bytes, of the same length and time: only what is kept tells what the file held."""
    status = os.stat(path)
    with open(path, "r+b") as file:
        file.write(b"spoilt")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_file_is_looked_at_once(paths, user_cache):
    first = look_at_labels(paths)
    assert first == {paths[0]: Seen(1, 3, {0: 1, 1: 2}), paths[1]: Seen(1, 3, {0: 2, 300: 1})}
    spoil(paths[0])
    assert look_at_labels(paths) == first
    Image.fromarray(np.array([[1, 1]], dtype=np.uint8)).save(paths[1])
    assert look_at_labels(paths[1:])[paths[1]].counts == {1: 2}
    (kept,) = (user_cache / "auto_seg_loss").iterdir()
    assert sorted(json.loads(kept.read_bytes())) == ["a.png", "b.png"]
    os.utime(paths[0])
    assert "not an image of a known format" in look_at_labels(paths)[paths[0]]


def test_other_palettes_and_images_have_looks_of_their_own(paths):
    look_at_labels(paths[:1])
    assert look_at_images(paths[:1]) == {paths[0]: Seen(1, 3, {})}
    assert look_at_labels(paths[:1], PALETTE) == {paths[0]: Seen(1, 3, {7: 1, 8: 2})}
    assert look_at_labels(paths[:1])[paths[0]].counts == {0: 1, 1: 2}


def test_kept_files_that_are_damaged_count_as_none(paths, user_cache):
    first = look_at_labels(paths)
    (kept,) = (user_cache / "auto_seg_loss").iterdir()
    for content in (b"", b"[1]", b'{"a.png": 3}', b"\xff"):
        kept.write_bytes(content)
        assert look_at_labels(paths) == first
