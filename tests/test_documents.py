"""The README's code runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def code_block(containing: str) -> str:
    """The indented block of the README that holds the given text."""
    blocks = re.findall(r"(?:^(?: {4}.*)?\n)+", README.read_text(encoding="utf-8"), re.MULTILINE)
    (block,) = [block for block in blocks if containing in block]
    return "".join(line.removeprefix("    ") for line in block.splitlines(keepends=True))


def test_the_agent_of_the_readme_nears_the_optimum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(code_block("class Shrinking"), names)
    assert names["result"].reward > 0.98  # 0.96 where it starts, 1 at the optimum
    assert "identity" in capsys.readouterr().out


def test_the_losses_and_metrics_of_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    names: dict[str, object] = {
        "logits": torch.randn(2, 21, 8, 8, requires_grad=True),
        "target": torch.randint(0, 21, (2, 8, 8)),
        "prediction": torch.randint(0, 21, (2, 8, 8)),
    }
    exec(code_block("criterion = load_loss("), names)
    assert names["logits"].grad.isfinite().all()
    exec(code_block("scores = SegmentationScores("), names)
    assert set(names["scores"].compute()) == {"mIoU", "FWIoU", "mAcc", "gAcc", "BIoU", "BF1"}
