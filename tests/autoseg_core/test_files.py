"""files.py: home directories, and files that are there whole or as they were."""

from __future__ import annotations

import errno
import resource
from pathlib import Path

import pytest
import torch
from pydantic import BaseModel

from autoseg_core import load_loss
from autoseg_core.files import (
    DamagedFileError,
    read_json,
    replacing,
    save_whole,
    user_path,
)


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


def test_an_error_of_the_disk_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"a\.json'$") as caught, replacing(tmp_path / "a.json"):
        raise OSError(errno.ENOSPC, "of a write, which knows no name")
    assert caught.value.errno == errno.ENOSPC and not list(tmp_path.iterdir())


def test_tensors_are_written_whole_or_an_error_names_the_path(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    save_whole({"a": torch.ones(3)}, path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large: .*a\.pth'"):
            save_whole({"a": torch.ones(10_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert torch.load(path, weights_only=True)["a"].sum() == 3
    assert [p.name for p in tmp_path.iterdir()] == ["a.pth"]


class _Kept(BaseModel):
    count: int
    names: list[str]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "Expecting value"),
        (b"\xff", "utf-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"count": "3", "names": []}', "count: .*integer, got '3'"),
        (b'{"count": 3}', "names: Field required"),
    ],
)
def test_damaged_json_is_one_line_with_the_remedy(tmp_path: Path, text: bytes, words: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(text)
    with pytest.raises(DamagedFileError, match=rf"a\.json is damaged \(.*{words}.*; mend it") as e:
        read_json(path, _Kept, "mend it")
    assert "\n" not in str(e.value)
