"""benchmarks/bm_loss.py runs, and its rivals and figures are what they say."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import samples
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from autoseg_core import AutoSegLoss, LossSpec
from benchmarks import bm_loss, rivals
from benchmarks.contenders import MEASURED, Contender, sample_term, surrogates
from benchmarks.memory import kept_bytes

ROOT = Path(__file__).parents[2]


def entry(region: str, backend: str, time: float, kept: float) -> bm_loss.Entry:
    contender = Contender("some", rivals.cross_entropy, backend, region)
    return bm_loss.Entry(contender, time, kept, None, seconds=0.001)


@pytest.fixture(scope="module")
def printed() -> str:
    """What --quick prints; without the backend "compiled", whose compiler takes its time."""
    command = [sys.executable, "-m", "benchmarks.bm_loss", "--quick", "--threads", "1"]
    command += ["--repeats", "1", "--backends", "reference", "fused"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_metric_and_backend_has_its_row(printed: str) -> None:
    assert printed.startswith("Measured 20")
    assert printed.count("| cross entropy | 1.00 |") == len(bm_loss.QUICK)
    for metric in MEASURED:
        assert printed.count(f"| {metric}, reference |") == len(bm_loss.QUICK)


def test_rivals_have_rows_or_a_line_that_says_why_not(printed: str) -> None:
    if find_spec(rivals.SMP) is None:
        assert "SMP's losses are left out" in printed
        assert "| SMP" not in printed
    else:
        for name in ("DiceLoss", "JaccardLoss", "LovaszLoss"):
            assert printed.count(f"| SMP {name} |") == len(bm_loss.QUICK)


def test_without_smp_its_losses_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rivals, "find_spec", lambda name: None)
    assert rivals.smp_losses() == {}


def test_the_one_hot_form_equals_the_loss() -> None:
    term = sample_term("mIoU")
    rival = rivals.one_hot_miou([list(curve) for curve in term.control_points])
    logits, target = samples.batch(seed=0)
    loss = AutoSegLoss(LossSpec(name="sample", terms=(term,)), backend="reference")
    value, gradient = samples.value_and_gradient(loss, logits, target)
    inputs = logits.requires_grad_()
    (slow,) = torch.autograd.grad(expected := rival(inputs, target), inputs)
    torch.testing.assert_close(value, expected.detach())
    torch.testing.assert_close(gradient, slow)


def test_a_batch_is_mostly_right_and_has_void() -> None:
    logits, target = bm_loss.batch((2, 5, 40, 50), "cpu")
    void = target == rivals.VOID
    assert 0.03 < void.float().mean() < 0.07
    assert (logits.argmax(1) == target)[~void].float().mean() > 0.8


def test_kept_bytes_count_a_storage_once() -> None:
    x = torch.randn(4, 8, requires_grad=True)
    assert kept_bytes(lambda: (x * 2).sum()) == 0
    assert kept_bytes(lambda: (x * x).sum()) == x.nbytes
    assert kept_bytes(lambda: (x[:2] * x[2:]).sum()) == x.nbytes
    assert kept_bytes(lambda: x.exp().sum()) == x.nbytes


def test_measuring_kept_bytes_keeps_none_of_them() -> None:
    x, made = torch.randn(4, 8, requires_grad=True), []

    def forward() -> Tensor:
        result = x.softmax(0)  # an operation that keeps its output
        made.append(StorageWeakRef(result.untyped_storage()))
        return result

    assert kept_bytes(forward) == x.nbytes
    assert made[0].expired()


def test_a_region_loss_keeps_the_logits_and_little_else() -> None:
    logits, target = bm_loss.batch((1, 21, 32, 32), "cpu")
    logits.requires_grad_()
    (fused,) = surrogates("mIoU", ["fused"])
    assert 1.0 <= kept_bytes(lambda: fused.loss(logits, target)) / logits.nbytes <= 1.1


def test_boundary_metrics_have_a_reference_and_a_fast_form() -> None:
    names = [ours.name for ours in surrogates("BF1", ["reference", "fused", "compiled"])]
    assert sorted(names) == ["BF1, auto", "BF1, reference"]


def test_promises_look_at_the_worst_of_their_rows() -> None:
    entries = [
        entry("image", "compiled", 2.0, 1.03),
        entry("image", "compiled", 2.6, 1.03),
        entry("image", "reference", 40.0, 30.0),
        entry("boundary", "auto", 20.0, 2.9),
    ]
    lines = bm_loss.promise_table(entries).splitlines()[2:]
    assert [line.split(" | ")[1:] for line in lines] == [
        ["2.60", "≤ 2.5", "no |"],
        ["1.03", "≤ 1.1", "yes |"],
        ["2.90", "≤ 3", "yes |"],
    ]


def test_a_device_that_is_not_there_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    command = [sys.executable, "-m", "benchmarks.bm_loss", "--device", "cuda"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "no CUDA device" in done.stderr
