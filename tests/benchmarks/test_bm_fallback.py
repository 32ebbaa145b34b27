"""benchmarks/bm_fallback.py runs, and takes the kernels away for its own time only."""

from __future__ import annotations

import sys

import pytest
import torch

from autoseg_core import native
from benchmarks import bm_fallback


def test_a_table_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    threads, before = torch.get_num_threads(), native.CPU
    monkeypatch.setattr(bm_fallback, "METRICS", ("mIoU", "BF1"))
    monkeypatch.setattr(sys, "argv", ["bm_fallback", "--quick", "--repeats", "1"])
    bm_fallback.main()
    torch.set_num_threads(threads)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].endswith(f"Logits 1×3×24×32; {torch.backends.cpu.get_cpu_capability()}.")
    assert [line.count("|") for line in printed[2:]] == [6] * 5
    assert before == native.CPU


def test_the_kernels_are_back_after_an_error() -> None:
    before = native.CPU
    seen = []

    def call() -> None:
        seen.append(native.CPU)
        raise KeyError

    with pytest.raises(KeyError):
        bm_fallback.with_and_without(call, repeats=1)
    assert seen == [True] and before == native.CPU
