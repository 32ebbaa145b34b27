"""The checks of benchmarks.gpu run on a CPU; a failure shows in table and exit status."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from autoseg_core import AutoSegLoss
from autoseg_core.surrogates import distributed
from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import parity, rows
from benchmarks.gpu.__main__ import CHECKS


@pytest.mark.parametrize(
    "name", ["parity", "speed", "exact", "training", "processes", "candidates"]
)
def test_the_checks_pass_on_a_cpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETECTRON2_DATASETS", "set anew by a check")  # so that it is put back
    found = list(CHECKS[name]("cpu"))
    assert found
    assert [row for row in found if row.passed is False] == []


def test_a_wrong_kernel_is_seen() -> None:
    """A gradient that is off by a ten-thousandth fails where float32 is compared."""
    logits, target = rows.batch((1, 3, 9, 13), "cpu")

    def wrong(backend: Any = "auto") -> AutoSegLoss:
        loss = rows.loss_of("mIoU", backend=backend)
        scale = 1.0001 if backend == "auto" else 1.0
        loss.register_forward_hook(lambda _, given, v: v.detach() + scale * (v - v.detach()))
        return loss

    value, gradient = parity.distance(wrong, logits, target)
    assert value < 1e-6
    assert gradient == pytest.approx(1e-4, rel=0.1)
    assert rows.at_most("gradient", gradient, 1e-5).passed is False
    _, worst = parity.worst_of((0.0, 0.0), (0.0, float("nan")), (0.0, 1.0))
    assert rows.at_most("gradient", worst, 1e-5).passed is False


def test_a_wrong_sum_over_processes_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def twice(x: torch.Tensor) -> torch.Tensor:
        return 2 * x.detach()

    monkeypatch.setattr(distributed, "_summed", twice)
    assert [row.passed for row in CHECKS["processes"]("cpu")] == [False]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_check_that_raises_fails_in_a_table_in_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "gpu.md"
    with pytest.raises(SystemExit, match="1"):
        gpu.main(["--device", "cuda", "--checks", "exact", "--output", str(output)])
    text = output.read_text()
    assert capsys.readouterr().out.strip() == text.strip()
    assert text.startswith("Measured ")
    (row,) = [line for line in text.splitlines() if line.startswith("| exact |")]
    assert row.endswith("| **fail** |") and ("CUDA" in row or "NVIDIA" in row)


def test_a_check_that_takes_too_long_is_a_row() -> None:
    (row,) = gpu.run("exact", "cpu", seconds=0.01)
    assert (row.measured, row.passed) == ("not done after 0 s", False)
