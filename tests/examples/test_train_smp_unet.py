"""examples/train_smp_unet.py as a user runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from make_shapes import Parameters, make_shapes

SCRIPT = Path(__file__).parents[2] / "examples" / "train_smp_unet.py"
SMP = "segmentation_models_pytorch"


@pytest.mark.skipif(find_spec(SMP) is None, reason=f"needs {SMP}: pip install -e '.[baselines]'")
def test_the_loss_raises_the_miou(tmp_path: Path) -> None:
    make_shapes(tmp_path, Parameters(height=32, width=48, train=64, val=24, test=0))
    command = [sys.executable, str(SCRIPT), str(tmp_path / "shapes")]
    command += ["--warm-up", "3", "--epochs", "3"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    before, after = (float(value) for value in re.findall(r"mIoU after .*: (.*)", done.stdout))
    assert after > before + 0.02  # 0.30 -> 0.36
