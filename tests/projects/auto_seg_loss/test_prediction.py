"""prediction.py: which files are read and written; test_demo.py has the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from auto_seg_loss.prediction import find_images


@pytest.fixture
def files(tmp_path, monkeypatch) -> Path:
    """A working directory with images, other files, a folder below and one without images."""
    for name in ("b.jpg", "a.PNG", "notes.txt", "c.webp", "deeper/d.jpg", "empty/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "inputs, found",
    [
        (["."], ["a.PNG", "b.jpg", "c.webp"]),
        (["b.jpg", "deeper"], ["b.jpg", "deeper/d.jpg"]),
        (["notes.txt"], ["notes.txt"]),  # a file that is named is tried, whatever its ending
        (["*.jpg", "b.jpg"], ["b.jpg"]),
        (["*/*.jpg", "[ab].*"], ["deeper/d.jpg", "a.PNG", "b.jpg"]),
    ],
    ids=str,
)
def test_inputs_are_files_directories_and_patterns(files, inputs, found):
    assert find_images(inputs) == [Path(name) for name in found]
