"""benchmarks/bm_loss.py runs, and its rivals and figures are what they say."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from benchmarks import bm_loss, rivals, steps
from benchmarks.memory import kept_bytes
from benchmarks.settings import Run, Setting

SHAPE = "1x2x3x4"


def found(seconds: dict[str, float], setting: Setting | None = None) -> Run:
    kept = dict.fromkeys(steps.REGIONS, 1.0)
    figures = {SHAPE: {"seconds": seconds, "kept": kept}}
    return Run(setting or Setting(1), figures, {})


def test_every_bar_and_metric_has_its_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bm_loss", "--quick", "--repeats", "1"])
    bm_loss.main()  # which measures in processes of their own
    printed = capsys.readouterr().out
    assert printed.startswith("Measured 20")
    assert f"Instruction set: {torch.backends.cpu.get_cpu_capability()}." in printed
    for name in (*(bar.what for bar in bm_loss.BARS), *steps.BANDS, steps.REFERENCE):
        assert f"| {name} |" in printed
    assert printed.count("| mIoU |") == 2  # time, kept
    rivals_there = find_spec(rivals.SMP) is not None
    assert all((f"| {name} |" in printed) == rivals_there for name in bm_loss.SMP_LOSSES)
    trained = "images per second " in printed
    assert trained == (find_spec("detectron2") is not None)


def test_a_batch_is_mostly_right_and_has_void() -> None:
    logits, target = steps.batch((2, 5, 40, 50))
    void = target == rivals.VOID
    assert 0.03 < void.float().mean() < 0.07
    assert (logits.argmax(1) == target)[~void].float().mean() > 0.8


def test_kept_bytes_count_a_storage_once() -> None:
    x = torch.randn(4, 8, requires_grad=True)
    assert kept_bytes(lambda: (x * 2).sum()) == 0
    assert kept_bytes(lambda: (x * x).sum()) == x.nbytes
    assert kept_bytes(lambda: (x[:2] * x[2:]).sum()) == x.nbytes
    assert kept_bytes(lambda: x.exp().sum()) == x.nbytes
    assert kept_bytes(lambda: (x * x).sum(), x) == 0


def test_measuring_kept_bytes_keeps_none_of_them() -> None:
    x, made = torch.randn(4, 8, requires_grad=True), []

    def forward() -> Tensor:
        result = x.softmax(0)  # an operation that keeps its output
        made.append(StorageWeakRef(result.untyped_storage()))
        return result

    assert kept_bytes(forward) == x.nbytes
    assert made[0].expired()


def test_a_loss_keeps_the_logits_and_little_else() -> None:
    logits, target = steps.batch((1, 21, 32, 32))
    for loss in (steps.surrogate("mIoU"), steps.surrogate("BF1")):
        kept = kept_bytes(lambda loss=loss: loss(logits, target), target)
        assert 1.0 <= kept / logits.nbytes <= 1.03


@pytest.mark.parametrize(
    ("seconds", "setting", "figure", "met"),
    [
        (1.5, Setting(1), "1.50", "yes"),
        (1.55, Setting(1), "1.55", "no"),
        (1.55, Setting(1, mapped=False), "1.55", "yes"),
        (1.55, Setting(1, busy=True), "1.55", "yes"),
        (1.65, Setting(1, busy=True), "1.65", "no"),
    ],
)
def test_a_bar_looks_at_the_worst_figure(
    seconds: float, setting: Setting, figure: str, met: str
) -> None:
    run = found({"cross entropy": 1.0, "mIoU": 1.0, "gAcc": seconds}, setting)
    assert bm_loss.BARS[0].row([run])[3:] == [figure, met]
    assert bm_loss.BARS[0].row([found({"cross entropy": 1.0, "mIoU": 9.0}), run])[-1] == "no"
