"""The documents: their programs run, their links lead to files, their lines are short."""

from __future__ import annotations

import math
import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from autoseg_core import METRICS

ROOT = Path(__file__).parents[1]
CONFIGS = "projects/AutoSegLoss/configs"
FOLDERS = (".", "docs", "datasets", CONFIGS, f"{CONFIGS}/study")
DOCUMENTS = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.md"))
MADE = re.compile(r"<!-- (\w+): begin -->.*?<!-- \1: end -->", re.DOTALL)
"""What a command writes into a document."""


def prose(document: Path) -> list[str]:
    """Lines of a document without tables, programs and what commands write."""
    lines = MADE.sub("", document.read_text("utf-8")).splitlines()
    return [line for line in lines if not line.startswith(("    ", "|"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_lines_are_short(document: Path) -> None:
    text = "\n".join(prose(document))
    links = {link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link}
    assert [link for link in links if not (document.parent / link).exists()] == []
    assert [line for line in prose(document) if len(line) > 100] == []


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_files_that_are_named_exist(document: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    names = re.findall(r"[`\s]((?:[\w-]+/)+[\w.-]+\.(?:py|yaml))\b", text)
    folders = (ROOT, ROOT / "projects" / "AutoSegLoss")
    assert [name for name in names if not any((at / name).is_file() for at in folders)] == []
    assert names


@pytest.mark.parametrize("walk", ["Logits", "θ", "cfg"])
def test_each_walk_of_the_architecture_is_ten_files_at_most(walk: str) -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    (section,) = re.findall(rf"^## {walk}: .*?(?=^## )", text, re.DOTALL | re.MULTILINE)
    assert 1 <= len(re.findall(r"^\d+\. ", section, re.MULTILINE)) <= 10


def programs(document: Path) -> list[str]:
    """The indented blocks of a document that import something."""
    blocks = re.findall(r"(?:^(?: {4}.*)?\n)+", document.read_text("utf-8"), re.MULTILINE)
    texts = [dedent(block) for block in blocks]
    return [text for text in texts if re.search(r"^(import|from) ", text, re.MULTILINE)]


def test_the_programs_of_the_readme() -> None:
    import torch

    loss, metrics, environment = programs(ROOT / "README.md")
    names: dict[str, Any] = {
        "logits": torch.randn(2, 21, 8, 8, requires_grad=True),
        "target": torch.randint(0, 21, (2, 8, 8)),
        "prediction": torch.randint(0, 21, (2, 8, 8)),
    }
    exec(loss, names)
    assert names["logits"].grad.isfinite().all()
    exec(metrics, names)
    assert set(names["scores"].compute()) == {"mIoU", "FWIoU", "mAcc", "gAcc", "BIoU", "BF1"}
    exec(environment, names)
    assert 0 <= names["reward"] <= 1


def test_the_programs_about_agents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("stable_baselines3")
    monkeypatch.chdir(tmp_path)
    document = ROOT / "docs" / "agents.md"
    environment, proxy, baselines, cross_entropy, schedule, shrinking = programs(document)
    names: dict[str, Any] = {"train_and_score": lambda theta, seed: (0.5, float(theta[0]))}
    exec(environment, names)
    exec(proxy, names)
    names["env"].reset(seed=0)
    assert names["env"].step([0.75] * 12)[1] == 0.75
    exec(environment, names)
    assert names["reward"] == names["info"]["scores"]["mIoU"]
    assert names["terminated"] and names["picture"].ndim == 3
    assert "ok" in capsys.readouterr().out
    exec(shrinking, names)
    assert names["result"].reward > 0.98  # 0.96 where it starts, 1 at the optimum
    assert "identity" in capsys.readouterr().out
    exec(cross_entropy, names)
    assert len(cross_entropy.strip().splitlines()) <= 31
    assert float(capsys.readouterr().out) > 0.99
    exec(schedule, names)
    assert names["first"] != 0.0  # it goes on where it was
    exec(baselines, names)
    assert float(capsys.readouterr().out.split()[0]) > 0.99
    names["env"].reset(seed=0)
    start = 2 * names["env"].unwrapped.space.identity() - 1  # as a normalised action
    assert names["env"].step(start)[1] == pytest.approx(0.953, abs=5e-4)


def test_the_programs_about_losses(capsys: pytest.CaptureFixture[str]) -> None:
    loss, scale, metric, objective, multilabel = programs(ROOT / "docs" / "losses.md")
    names: dict[str, Any] = {}
    exec(loss, names)
    assert names["logits"].grad.isfinite().all()
    exec(scale, names)
    assert f"{names['factor']:.1f} times" in capsys.readouterr().out
    assert names["criterion"].spec.scale == names["factor"]
    try:
        exec(metric, names)
        assert set(names["scores"].compute()) == {"mIoU", "Truthful"}
    finally:
        METRICS.pop("Truthful", None)
    assert "Truthful" in capsys.readouterr().out
    exec(objective, names)
    assert names["loss"](names["logits"], names["target"]).isfinite()
    exec(multilabel, names)
    assert set(names["scores"].compute()) == {"mIoU", "Dice"}


def test_the_programs_about_training(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from detectron2.config import get_cfg

    from auto_seg_loss import add_auto_seg_loss_config
    from auto_seg_loss.losses import SEM_SEG_LOSS_REGISTRY, build_loss

    own_loss, own_project = programs(ROOT / "docs" / "training.md")
    known = dict(SEM_SEG_LOSS_REGISTRY._obj_map)
    monkeypatch.setattr(SEM_SEG_LOSS_REGISTRY, "_obj_map", known)
    exec(own_loss, {})
    cfg = get_cfg()
    add_auto_seg_loss_config(cfg)
    cfg.MODEL.SEM_SEG_HEAD.LOSS_TYPE = "label_smoothing"
    logits, target = torch.zeros(1, 4, 2, 2), torch.zeros(1, 2, 2, dtype=torch.int64)
    assert build_loss(cfg)(logits, target).item() == pytest.approx(math.log(4))
    names: dict[str, Any] = {}
    exec(own_project, names)
    assert names["model"].sem_seg_head.loss.spec.name == "voc-miou-bezier"
    image, target = torch.zeros(3, 64, 64), torch.zeros(64, 64, dtype=torch.int64)
    losses = names["model"].train()([{"image": image, "sem_seg": target}] * 2)
    assert 0 < losses["loss_sem_seg"].item() < 1


def test_a_data_set_of_ones_own_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from detectron2.data import DatasetCatalog, MetadataCatalog
    from PIL import Image

    from auto_seg_loss.data import verify_dataset
    from auto_seg_loss.data.catalog import unregister

    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    for file in ("images/a.jpg", "images/b.jpg", "labels/a.png", "labels/b.png"):
        (tmp_path / "mine" / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 3), 1).save(tmp_path / "mine" / file)
    (tmp_path / "mine" / "train.txt").write_text("a\nb.jpg\n")
    (tmp_path / "mine" / "test.txt").write_text("b\n")
    try:
        (program,) = programs(ROOT / "datasets" / "README.md")
        exec(program, {})
        for name, count in (("mine_sem_seg_train", 2), ("mine_sem_seg_test", 1)):
            labels = verify_dataset(name, DatasetCatalog.get(name))
            assert [seen.counts for seen in labels.values()] == [{1: 12}] * count
            assert MetadataCatalog.get(name).stuff_classes == ["background", "cat"]
    finally:
        for split in ("train", "test"):
            unregister(f"mine_sem_seg_{split}")
