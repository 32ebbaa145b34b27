"""The figure of the XOR surfaces is drawn as a user draws it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "docs" / "figures" / "bf1_xor.py"


def test_the_figure_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "xor.png"
    subprocess.run([sys.executable, SCRIPT, "-o", picture], check=True, timeout=120)
    assert picture.read_bytes().startswith(b"\x89PNG")
