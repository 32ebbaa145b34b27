"""find_loss.py: from two folders to a verdict, and on from where it stopped."""

from __future__ import annotations

import json
import re
import shutil
import signal

import pytest
import yaml
from detectron2.config import CfgNode

from auto_seg_loss.config import project_defaults
from autoseg_core import load_loss

# A backbone of a few thousand weights in the place of EfficientNet-Lite0.
TINY = [
    *("MODEL.BACKBONE.NAME", "build_small_resnet_backbone", "MODEL.RESNETS.STEM_OUT_CHANNELS", "8"),
    *("MODEL.SMALL_RESNET.CHANNELS", "[8,12,16,16]"),
    *("MODEL.SMALL_RESNET.STRIDES", "[1,2,2,1]", "MODEL.RESNETS.OUT_FEATURES", "['res2','res5']"),
    *("MODEL.SEM_SEG_HEAD.IN_FEATURES", "['res2','res5']"),
    *("MODEL.SEM_SEG_HEAD.PROJECT_FEATURES", "['res2']", "INPUT.FORMAT", "RGB"),
    *("MODEL.SEM_SEG_HEAD.PROJECT_CHANNELS", "[4]", "MODEL.SEM_SEG_HEAD.ASPP_CHANNELS", "8"),
    *("MODEL.SEM_SEG_HEAD.CONVS_DIM", "8", "SEARCH.SAMPLES", "4", "SEARCH.ROUNDS", "1"),
    *("SEARCH.SELECTION.TOP_K", "1", "SEARCH.SCALE_ITERS", "1", "SOLVER.MAX_ITER", "2"),
]


@pytest.fixture
def folder(shapes_root, tmp_path):
    """Images and labels of the tiny set in two folders, as a user has them."""
    source = shapes_root / "shapes"
    shutil.copytree(source / "JPEGImages", tmp_path / "images")
    shutil.copytree(source / "SegmentationClass", tmp_path / "labels")
    return tmp_path


def command(folder, *options):
    """Arguments for ``scripts``."""
    return (
        "find_loss.py",
        *("--images", folder / "images", "--labels", folder / "labels"),
        *("--output", folder / "found", "--workers", "1", *options),
    )


def test_a_folder_gives_a_loss_and_a_verdict_and_further_calls_go_on(scripts, folder, weights):
    own = ("SEARCH.SURROGATE", "miou", "FEATURES.WEIGHTS", weights)
    asked = command(folder, "--metric", "dice", "--minutes", "0.02", "--workers", "2", *TINY, *own)
    found = folder / "found"
    stopped = scripts.start(*asked).stop_when((found / "trials.jsonl").is_file, signal.SIGINT)
    assert "Features of 13 images" in stopped.stdout
    told = stopped.interruption()
    assert told == [*map(str, asked)]
    first = scripts.run(*told).assert_ok()
    assert "cross_entropy" in first.stdout
    assert re.search(
        r"--minutes 0\.02 is too short for these images, which need \d+ minutes ", first.stdout
    )
    assert re.search(r"^learning rates: (\d+)/\1, ", first.stderr, re.MULTILINE), "no terminal"
    few = r"scored on \d \(hold-out\) and \d \(test\) images: with fewer than 20"
    assert len(re.findall(few, first.stdout)) == 2  # at once, and below the verdict
    assert (found / "report.md").read_text() in first.stdout
    assert "<table>" in (found / "report.html").read_text()
    assert "(predictions.png)" in first.stdout and (found / "predictions.png").is_file()
    load_loss(str(found / "searched_loss.json"))
    rows = [line.split("|")[1].strip() for line in first.stdout.splitlines() if line[:1] == "|"]
    assert rows.count("soft:Dice") == rows.count("soft:mIoU") == 2  # rates and scores
    parts = [(found / f"{part}.txt").read_text().split() for part in ("train", "holdout", "test")]
    assert len({name for part in parts for name in part}) == 13 == sum(map(len, parts))
    assert yaml.safe_load((found / "train.yaml").read_text())["MODEL"]["SEM_SEG_HEAD"]["LOSS_SPEC"]
    assert yaml.safe_load((found / "search.yaml").read_text())["SEARCH"]["PROXY"]["MAX_ITER"] == 2
    made = (found / "trials.jsonl").read_text()
    assert {json.loads(line).get("loss") for line in made.splitlines()} >= {"dice", "lovasz"}
    again = scripts.run(*asked).assert_ok()
    assert (found / "trials.jsonl").read_text() == made
    assert again.stdout.endswith(first.stdout[first.stdout.index("# The loss for Dice") :])

    config = json.loads((found / "journal.jsonl").read_text().splitlines()[0])["config"]
    project_defaults().merge_from_other_cfg(CfgNode(config))  # as workers and studies do


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--groups", "("), r"^error: --groups '\('"),
        (("--classes", "no.txt"), "--classes: there is no file no.txt"),
        (("--output", __file__), "--output: expected a folder.*test_find_loss.py is a file"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(scripts, folder, weights, options, named):
    """Which mistakes: auto_seg_loss/study/test_finding.py and test_finding_setup.py."""
    text = scripts.run(*command(folder, *options, *TINY, "FEATURES.WEIGHTS", weights)).refusal()
    assert re.search(named, text), text
    assert not (folder / "found").exists()
