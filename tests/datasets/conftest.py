"""The prepare_*.py scripts, run as a user runs them."""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DATASETS = Path(__file__).parents[2] / "datasets"


@pytest.fixture
def as_user() -> Callable[..., subprocess.CompletedProcess[str]]:
    """``as_user("prepare_x.py", argument, ...)``: the script in an interpreter of its own."""

    def run(script: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(DATASETS / script), *map(str, arguments)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    return run


@pytest.fixture
def prepare(
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The same in this process, with one worker: an interpreter takes longer than the work."""

    def run(script: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
        main = importlib.import_module(Path(script).stem).main
        capsys.readouterr()
        status = main(["--workers", "1", *map(str, arguments)])
        said = capsys.readouterr()
        return subprocess.CompletedProcess([script], status, said.out, said.err)

    return run


@pytest.fixture
def tree() -> Callable[[Path], dict[str, tuple[str, int]]]:
    """``tree(folder)``: relative path -> digest and time of every file, hidden ones too."""

    def look(folder: Path) -> dict[str, tuple[str, int]]:
        return {
            str(path.relative_to(folder)): (
                hashlib.sha256(path.read_bytes()).hexdigest(),
                path.stat().st_mtime_ns,
            )
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    return look


@pytest.fixture
def match() -> Callable[[str, str], None]:
    """``match(pattern, text)``: the text holds the pattern; else the test fails and shows it."""

    def search(pattern: str, text: str) -> None:
        assert re.search(pattern, text), text

    return search
