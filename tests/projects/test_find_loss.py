"""find_loss.py: from two folders to a verdict, and on from where it stopped."""

from __future__ import annotations

import json
import re
import shutil
import signal

import numpy as np
import pytest
import yaml
from detectron2.config import CfgNode
from PIL import Image

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


def find(scripts, folder, *options):
    return scripts.run(
        "find_loss.py",
        *("--images", folder / "images", "--labels", folder / "labels"),
        *("--output", folder / "found", "--workers", "1", *options),
    )


def test_a_folder_gives_a_loss_and_a_verdict_and_a_second_call_goes_on(scripts, folder, weights):
    own = ("SEARCH.SURROGATE", "miou", "FEATURES.WEIGHTS", weights)
    options = ("--metric", "dice", "--minutes", "0.02", *TINY, *own)
    first = find(scripts, folder, *options).assert_ok()
    found = folder / "found"
    assert "cross_entropy" in first.stdout and "Features of 13 images" in first.stdout
    assert re.search(
        r"--minutes 0\.02 is too short for these images, which need \d+ minutes ", first.stdout
    )
    assert re.search(r"^learning rates: 15/15, ", first.stderr, re.MULTILINE), "no terminal"
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
    again = find(scripts, folder, *options).assert_ok()
    assert (found / "trials.jsonl").read_text() == made
    assert again.stdout.endswith(first.stdout[first.stdout.index("# The loss for Dice") :])

    config = json.loads((found / "journal.jsonl").read_text().splitlines()[0])["config"]
    project_defaults().merge_from_other_cfg(CfgNode(config))  # as workers and studies do
    parts = [(found / f"{part}.txt").read_text() for part in ("train", "holdout", "test")]
    other = find(scripts, folder, *options, "SEARCH.SURROGATE", "BIoU").refusal()
    assert "SEARCH.SURROGATE" in other
    for kind, suffix in ("images", ".jpg"), ("labels", ".png"):
        some = next((folder / kind).iterdir())
        shutil.copy(some, some.with_name("new" + suffix))
    assert "other images" in find(scripts, folder, *options).refusal()
    assert parts == [(found / f"{part}.txt").read_text() for part in ("train", "holdout", "test")]


def test_a_folder_of_another_run_is_refused(scripts, folder, weights):
    usual = ("--minutes", "0.02", *TINY, "FEATURES.WEIGHTS", weights)
    run = scripts.start(
        "find_loss.py",
        *("--images", folder / "images", "--labels", folder / "labels", "--output", folder / "o"),
        *("--workers", "1", "--metric", "BF1", *usual),
    )
    stopped = run.stop_when((folder / "o" / "trials.jsonl").is_file, signal.SIGINT)
    script, *arguments = stopped.interruption()
    assert script == "find_loss.py" and "BF1" in arguments
    again = scripts.run("find_loss.py", *[a if a != "BF1" else "mIoU" for a in arguments])
    assert '--metric: "BF1" -> "mIoU"' in again.refusal()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--metric", "mIou2"), "mIou2"),
        (("--groups", "("), r"^error: --groups '\('"),
        (("--metric", "IoU"), r"expected IoU\(classes\).* Without parameters: mIoU"),
        (("--images", "nowhere"), "--images .*nowhere' must be a directory"),
        (("--classes", "no.txt"), "No such file.*no.txt"),
        (("--output", __file__), "File exists: .*test_find_loss"),
        (("SOLVER.MAX_ITER",), "pairs of KEY VALUE"),
        (("DATASETS.FOLDER.NAME", "mine"), r"find_loss\.py sets DATASETS\.FOLDER\.NAME"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(scripts, folder, weights, options, named):
    text = find(scripts, folder, *options, *TINY, "FEATURES.WEIGHTS", weights).refusal()
    assert re.search(named, text), text
    assert not (folder / "found").exists()


def test_parts_of_one_image_are_refused(scripts, folder, weights):
    for path in sorted((folder / "images").iterdir())[3:]:
        path.unlink()
    text = find(scripts, folder, *TINY, "FEATURES.WEIGHTS", weights).refusal()
    assert "The 3 images make parts of train 1, holdout 1, test 1, and each needs 2" in text
    assert not (folder / "found").exists()


@pytest.mark.parametrize("void", ["255", "1"])
def test_labels_of_one_class_are_refused_before_features(scripts, folder, weights, void):
    for path in (folder / "labels").iterdir():
        with Image.open(path) as label:
            values = np.asarray(label) > 0 if void == "1" else np.zeros(label.size[::-1], bool)
        Image.fromarray(values.astype(np.uint8)).save(path)
    options = ("--void", void, *TINY, "FEATURES.WEIGHTS", weights)
    text = find(scripts, folder, *options).refusal()
    assert "hold one class besides void" in text and "--void" in text
    assert not (folder / "found").exists()
