"""files.py: home directories, and files that are there whole or as they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoseg_core import load_loss
from autoseg_core.files import replacing, user_path


def test_it_takes_the_place_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with replacing(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]


def test_what_fails_leaves_the_old_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as partial:
        partial.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]


def test_a_tilde_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/a~") == tmp_path / "a~"
    assert user_path("a/~/b") == Path("a/~/b")
    with pytest.raises(FileNotFoundError, match=str(tmp_path / "none.json")):
        load_loss("~/none.json")
