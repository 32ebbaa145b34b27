"""Without the C++ kernels losses train and scores count, and one log line says what is missing."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import autoseg_core
from autoseg_core import native

PROGRAM = """
import logging
import sys

sys.modules["triton"] = None
import torch

logging.basicConfig(format="%(name)s: %(message)s")
torch.set_num_threads(1)
from autoseg_core import SegmentationScores, load_loss, native

logits = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(0), requires_grad=True)
target = torch.arange(162).reshape(2, 9, 9) // 7 % 3
steps = []
for name in ("voc-miou-bezier", "voc-biou-bezier", "voc-bf1-bezier"):
    for backend in ("auto", "reference"):
        loss = load_loss(name, backend=backend)(logits, target)
        steps.append((loss.detach(), *torch.autograd.grad(loss, logits)))
for found, expected in zip(steps[::2], steps[1::2]):
    torch.testing.assert_close(found, expected)
    assert found[1].isfinite().all() and found[1].any()
scores = SegmentationScores(3)
scores.update(target, target)
assert set(scores.compute().values()) == {1.0} and not native.CPU
try:
    load_loss("voc-miou-bezier", backend="native")(logits, target)
except RuntimeError as error:
    print(error)
"""


def test_losses_train_without_kernels(tmp_path: Path) -> None:
    package = Path(autoseg_core.__file__).parent
    unbuilt = shutil.ignore_patterns("*.so", "csrc", "__pycache__")
    shutil.copytree(package, tmp_path / "autoseg_core", ignore=unbuilt)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", PROGRAM]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    (line,) = [line for line in ran.stderr.splitlines() if "kernels" in line]
    assert line.startswith(
        "autoseg_core.native: The C++ kernels are not used: they were not built from"
    )
    assert "Build them with a C++ compiler" in line
    assert "backend='native' needs logits on a CPU and the C++ kernels" in ran.stdout


def test_a_library_that_cannot_be_loaded_is_passed_over(tmp_path: Path) -> None:
    version = ".".join(torch.__version__.split(".")[:2])
    (tmp_path / "kernels2_default_torch1_13.so").touch()  # of an environment with another PyTorch
    (tmp_path / native.library("default").replace("kernels2", "kernels1")).touch()  # older sources
    why = f"they were not built from these sources for PyTorch {version}"
    assert native.load(tmp_path) == (False, why)
    (tmp_path / native.library("default")).write_bytes(b"\x7fELF, cut off")
    found, why = native.load(tmp_path)
    assert not found and re.fullmatch(r"they do not fit this PyTorch \(.*file too short\)", why)


def test_the_names_are_those_that_are_built(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(autoseg_core.__file__).parents[1]
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "argv", ["setup.py", "-q", "--version"])
    built = runpy.run_path(str(root / "setup.py"))["kernels"]()["ext_modules"]
    names = {extension.name.rpartition(".")[2] + ".so" for extension in built}
    assert native.library("default") in names
    assert names <= {native.library(name) for name in native.SETS}
