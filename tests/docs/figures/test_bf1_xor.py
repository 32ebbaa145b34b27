"""The figure of the XOR surfaces is drawn by its script."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "docs" / "figures" / "bf1_xor.py"


# NumPy's, where matplotlib is given tensors.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_the_figure_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "xor.png"
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "-o", str(picture)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    assert picture.read_bytes().startswith(b"\x89PNG")
