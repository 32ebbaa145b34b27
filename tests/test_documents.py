"""The documents: their programs run, their links lead to files, their lines are short."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from autoseg_core import METRICS

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
AGENTS, LOSSES = ROOT / "docs" / "agents.md", ROOT / "docs" / "losses.md"
TRAINING = ROOT / "docs" / "training.md"
FOLDERS = (
    ".",
    "docs",
    "datasets",
    "projects/AutoSegLoss/configs",
    "projects/AutoSegLoss/configs/study",
)
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


def code_block(document: Path, containing: str) -> str:
    """The indented block of a document that holds the given text."""
    blocks = re.findall(r"(?:^(?: {4}.*)?\n)+", document.read_text("utf-8"), re.MULTILINE)
    (block,) = [block for block in blocks if containing in block]
    return "".join(line.removeprefix("    ") for line in block.splitlines(keepends=True))


def run(document: Path, containing: str, **names: object) -> dict[str, object]:
    """Run the block; the names it leaves."""
    exec(code_block(document, containing), names)
    return names


def test_the_agent_of_the_docs_nears_the_optimum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names = run(AGENTS, "class Shrinking")
    assert names["result"].reward > 0.98  # 0.96 where it starts, 1 at the optimum
    assert "identity" in capsys.readouterr().out


def test_the_losses_and_metrics_of_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    names: dict[str, object] = {
        "logits": torch.randn(2, 21, 8, 8, requires_grad=True),
        "target": torch.randint(0, 21, (2, 8, 8)),
        "prediction": torch.randint(0, 21, (2, 8, 8)),
    }
    exec(code_block(README, "criterion = load_loss("), names)
    assert names["logits"].grad.isfinite().all()
    exec(code_block(README, "scores = SegmentationScores("), names)
    assert set(names["scores"].compute()) == {"mIoU", "FWIoU", "mAcc", "gAcc", "BIoU", "BF1"}


def test_the_environment_of_the_readme() -> None:
    assert 0 <= run(README, "env = gymnasium.make(")["reward"] <= 1


def test_a_loss_of_ones_own_is_built_from_a_config(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from detectron2.config import get_cfg

    from auto_seg_loss import add_auto_seg_loss_config
    from auto_seg_loss.losses import SEM_SEG_LOSS_REGISTRY, build_loss

    known = dict(SEM_SEG_LOSS_REGISTRY._obj_map)
    monkeypatch.setattr(SEM_SEG_LOSS_REGISTRY, "_obj_map", known)
    run(TRAINING, "def label_smoothing(cfg)")
    cfg = get_cfg()
    add_auto_seg_loss_config(cfg)
    cfg.MODEL.SEM_SEG_HEAD.LOSS_TYPE = "label_smoothing"
    logits, target = torch.zeros(1, 4, 2, 2), torch.zeros(1, 2, 2, dtype=torch.int64)
    assert build_loss(cfg)(logits, target).item() == pytest.approx(math.log(4))


def test_a_detectron2_project_of_ones_own_gets_the_loss() -> None:
    import torch

    from autoseg_core import AutoSegLoss

    model = run(TRAINING, "class Trainer(DefaultTrainer)")["model"]
    loss = model.sem_seg_head.loss
    assert isinstance(loss, AutoSegLoss) and loss.spec.name == "voc-miou-bezier"
    image, target = torch.zeros(3, 64, 64), torch.zeros(64, 64, dtype=torch.int64)
    batch = [{"image": image, "sem_seg": target}] * 2
    assert 0 < model.train()(batch)["loss_sem_seg"].item() < 1


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
        run(ROOT / "datasets" / "README.md", "import pairs_of_list, register")
        for name, count in (("mine_sem_seg_train", 2), ("mine_sem_seg_test", 1)):
            labels = verify_dataset(name, DatasetCatalog.get(name))
            assert [seen.counts for seen in labels.values()] == [{1: 12}] * count
            assert MetadataCatalog.get(name).stuff_classes == ["background", "cat"]
    finally:
        for split in ("train", "test"):
            unregister(f"mine_sem_seg_{split}")


def test_the_environment_of_the_docs(capsys: pytest.CaptureFixture[str]) -> None:
    names = run(AGENTS, 'render_mode="rgb_array"')
    assert names["reward"] == names["info"]["scores"]["mIoU"]
    assert names["terminated"]
    assert names["picture"].ndim == 3
    assert "ok" in capsys.readouterr().out


def test_the_stable_baselines_of_the_docs_learn(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("stable_baselines3")
    env = run(AGENTS, "import PPO")["env"]
    assert float(capsys.readouterr().out.split()[0]) > 0.99
    env.reset(seed=0)
    start = 2 * env.unwrapped.space.identity() - 1  # as a normalised action
    assert env.step(start)[1] == pytest.approx(0.953, abs=5e-4)


def test_the_thirty_lines_of_the_docs_learn(capsys: pytest.CaptureFixture[str]) -> None:
    block = code_block(AGENTS, "class CrossEntropy")
    assert len(block.strip().splitlines()) <= 31
    run(AGENTS, "class CrossEntropy")
    assert float(capsys.readouterr().out) > 0.99


def test_the_schedule_of_the_docs_goes_on_where_it_was() -> None:
    assert run(AGENTS, 'LossSchedule-v0", proxy')["first"] != 0.0


NAMED = {
    AGENTS: (
        'render_mode="rgb_array"',
        "class Shrinking",
        "import PPO",
        "class CrossEntropy",
        'LossSchedule-v0", proxy',
    ),
    LOSSES: (
        'criterion = load_loss("miou"',
        "factor = gradient_scale(",
        "register_metric(Metric(",
        "objective = Objective.parse",
        "multilabel=True",
    ),
    README: ("criterion = load_loss(", "scores = SegmentationScores(", "env = gymnasium.make("),
    TRAINING: ("def label_smoothing(cfg)", "class Trainer(DefaultTrainer)"),
}


@pytest.mark.parametrize("document", NAMED, ids=lambda path: path.name)
def test_every_program_of_the_docs_is_run_here(document: Path) -> None:
    """All blocks that import something are named in a test."""
    blocks = re.findall(r"(?:^(?: {4}.*)?\n)+", document.read_text("utf-8"), re.MULTILINE)
    programs = [block for block in blocks if re.search(r"^    (import|from) ", block, re.MULTILINE)]
    named = NAMED[document]
    assert [sum(text in block for text in named) for block in programs] == [1] * len(programs)
    assert len(programs) == len(named)


def test_the_losses_of_the_docs(capsys: pytest.CaptureFixture[str]) -> None:
    names = run(LOSSES, 'criterion = load_loss("miou"')
    assert names["logits"].grad.isfinite().all()
    names = run(LOSSES, "factor = gradient_scale(", **names)
    assert f"{names['factor']:.1f} times" in capsys.readouterr().out
    assert names["criterion"].spec.scale == names["factor"]
    try:
        names = run(LOSSES, "register_metric(Metric(", **names)
        assert set(names["scores"].compute()) == {"mIoU", "Truthful"}
    finally:
        METRICS.pop("Truthful", None)
    assert "Truthful" in capsys.readouterr().out
    names = run(LOSSES, "objective = Objective.parse", **names)
    assert names["loss"](names["logits"], names["target"]).isfinite()
    names = run(LOSSES, "multilabel=True", **names)
    assert set(names["scores"].compute()) == {"mIoU", "Dice"}
