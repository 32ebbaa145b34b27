"""The prepare_*.py scripts, run in this process."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class Done(NamedTuple):
    """Exit status of a script, and what it said."""

    status: int
    out: str
    err: str


@pytest.fixture
def prepare(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """``prepare("prepare_x", argument, ...)``: the script, with --workers 2 --partial."""

    def run(script: str, root: Path, *arguments: Any) -> Done:
        capsys.readouterr()
        words = ["--root", root, "--workers", 2, *(arguments or ("--partial",))]
        status = importlib.import_module(script).main([str(word) for word in words])
        return Done(status, *capsys.readouterr())

    return run


@pytest.fixture
def tree() -> Callable[[Path], dict[str, tuple[bytes, int]]]:
    """``tree(folder)``: relative path -> content and time of every file, hidden ones too."""

    def look(folder: Path) -> dict[str, tuple[bytes, int]]:
        files = (path for path in sorted(folder.rglob("*")) if path.is_file())
        return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}

    return look
