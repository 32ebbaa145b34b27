"""examples/train_smp_unet.py does what it says."""

from __future__ import annotations

import re
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from make_shapes import Parameters, make_shapes

SCRIPT = Path(__file__).parents[2] / "examples" / "train_smp_unet.py"
SMP = "segmentation_models_pytorch"


@pytest.mark.skipif(find_spec(SMP) is None, reason=f"needs {SMP}: pip install -e '.[baselines]'")
def test_the_loss_raises_the_miou(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_shapes(tmp_path, Parameters(height=32, width=48, train=64, val=24, test=0))
    command = [str(SCRIPT), str(tmp_path / "shapes"), "--warm-up", "3", "--epochs", "3"]
    monkeypatch.setattr(sys, "argv", command)
    runpy.run_path(str(SCRIPT))
    printed = capsys.readouterr().out
    before, after = (float(value) for value in re.findall(r"mIoU after .*: (.*)", printed))
    assert after > before + 0.02  # 0.30 -> 0.36
