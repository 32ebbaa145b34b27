"""The rivals of benchmarks/bm_metrics.py give the scores that ours gives; its table is whole."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from benchmarks import bm_metrics


@pytest.mark.parametrize("kind", ["areas", "few", "noise"])
@pytest.mark.parametrize("classes", [7, 21])
def test_rivals_agree_with_us(kind: str, classes: int) -> None:
    prediction, target = bm_metrics.example(kind, classes, (48, 64))
    scores = bm_metrics.ours(prediction, target, classes).compute()
    rival = bm_metrics.one_hot_scores(
        torch.from_numpy(prediction), torch.from_numpy(target), classes
    )
    np.testing.assert_allclose(list(scores.values()), rival, rtol=1e-5)
    matrix = bm_metrics.confusion(prediction, target, classes)
    assert matrix.sum() == (target != bm_metrics.VOID).sum()
    assert scores["gAcc"] == pytest.approx(matrix.trace() / matrix.sum())


def test_a_table_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    threads = torch.get_num_threads()
    areas, noise = ("areas", 5, (24, 32)), ("noise", 3, (24, 32))
    monkeypatch.setattr(bm_metrics, "CASES", [areas, noise])
    monkeypatch.setattr(bm_metrics, "BARS", {noise: 1e6})
    monkeypatch.setattr(bm_metrics, "MOST", 3 * 24 * 32)  # the larger one is left out
    monkeypatch.setattr(sys, "argv", ["bm_metrics", "--repeats", "1", "--threads", str(threads)])
    bm_metrics.main()
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("All six exact scores of one image")
    assert [line.count("|") for line in printed[2:]] == [5] * 3 + [0] + [9] * 4 + [0]
    assert printed[4].startswith("| all / confusion, noise, C = 3, 32x24 |")
    assert printed[4].endswith("| ≤ 1e+06 | yes |")
    assert printed[8].startswith("| areas, C = 5, 32x24 |")
    assert printed[8].endswith("| - |")
