"""auto_seg_loss.study.finding_setup: what is refused before find_loss.py spends any time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from auto_seg_loss.data.catalog import make_pair, unregister
from auto_seg_loss.data.folder import PARTS
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.study.finding_configs import Wish
from auto_seg_loss.study.finding_setup import _rows, options_named, prepared

SQUARE = np.zeros((24, 24), np.uint8)
SQUARE[8:16, 8:16] = 1
RING = np.where(SQUARE, SQUARE, 255)
RING[:6], RING[18:], RING[:, :6], RING[:, 18:] = 0, 0, 0, 0  # void, two pixels wide


def forget_sets():
    for name in (f"{name}_sem_seg_{part}" for name in ("cut", "own") for part in PARTS):
        unregister(name)


@pytest.fixture
def prepare(tmp_path):
    """``prepare(label, metric, *opts)``: the config for ten grey images, all with this label."""

    def make(label, metric="mIoU", *opts, grey=128, count=10, **options):
        forget_sets()  # of an earlier call
        for kind, pixels in ("images", np.full((24, 24), grey, np.uint8)), ("labels", label):
            (tmp_path / kind).mkdir(exist_ok=True)
            for number in range(count):
                Image.fromarray(pixels).save(tmp_path / kind / f"{number}.png")
        wish = {"images": tmp_path / "images", "labels": tmp_path / "labels", "minutes": 1}
        wish |= {"output": tmp_path / "found", "metric": metric, "opts": opts}
        with options_named():
            return prepared(Wish(**wish | options))

    yield make
    forget_sets()


@pytest.mark.parametrize("metric", ["BF1", "mIoU+BIoU"])
def test_void_along_all_borders_is_refused_where_the_metric_sees_edges(prepare, tmp_path, metric):
    edges = f"no {metric[-4:].strip('+')}, not even .*: TEST.PROTOCOL paper SEARCH.VOID_EDGES True"
    with pytest.raises(ConfigError, match=edges):
        prepare(RING, metric)
    assert not (tmp_path / "found").exists()


@pytest.mark.parametrize(
    ("label", "metric", "opts"),
    [
        (RING, "mIoU", ()),
        (RING, "BF1", ("TEST.PROTOCOL", "paper", "SEARCH.VOID_EDGES", "True")),
        (SQUARE, "BF1", ()),
    ],
)
def test_edges_that_can_be_scored_are_not_refused(prepare, label, metric, opts):
    assert metric == prepare(label, metric, *opts).SEARCH.METRIC


@pytest.mark.parametrize(
    ("label", "options", "words"),
    [
        (SQUARE, {"grey": 11}, r"train part: images are black.*\n.*test part: images are black"),
        (SQUARE, {"images": Path("nope")}, "--images '/.*nope' must be a directory"),
        (SQUARE, {"labels": Path("nope")}, "--labels '/.*nope' must be a directory"),
        (1 + SQUARE, {"void": 0, "classes": True}, "names 2 classes.* 2: .*void value 0 in the fi"),
        (SQUARE * 7, {"classes": True}, "go up to 7: name all of them, from 0 on, or set --void"),
        (SQUARE, {"groups": "("}, r"^--groups '\('"),
        (SQUARE, {"count": 3}, "The 3 images make parts of train 1, holdout 1, test 1"),
        (0 * SQUARE, {}, "hold one class besides void.*--void"),
        (SQUARE, {"void": 1}, "hold one class besides void.*--void"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_written(prepare, tmp_path, label, options, words):
    if "classes" in options:
        options = {**options, "classes": tmp_path / "names.txt"}
        options["classes"].write_text("a\nb\n")
    with pytest.raises(ConfigError, match=f"(?s){words}"):
        prepare(label, **options)
    assert not (tmp_path / "found").exists()


def test_a_folder_of_another_run_is_refused(prepare, tmp_path):
    prepare(SQUARE)
    found = tmp_path / "found"
    (found / "trials.jsonl").touch()
    kept = {path: path.read_text() for path in found.iterdir()}
    prepare(SQUARE)
    for named, metric, options, count in (
        ('--metric: "mIoU" -> "BF1"', "BF1", (), 10),
        (r"SEARCH\.SURROGATE", "mIoU", ("SEARCH.SURROGATE", "BIoU"), 10),
        ("other images", "mIoU", (), 11),
    ):
        with pytest.raises(ConfigError, match=named):
            prepare(SQUARE, metric, *options, count=count)
    assert kept == {path: path.read_text() for path in found.iterdir()}


def test_lists_name_files_below_the_folder_and_labels_that_a_list_pairs(prepare, tmp_path):
    prepare(SQUARE)
    for kind in "images", "labels":
        (tmp_path / kind / "deep").mkdir()
        for number in range(10):
            path = tmp_path / kind / f"{number}.png"
            path.rename(path.parent / "deep" / path.name)
    wish = Wish(tmp_path / "images", tmp_path / "labels", "mIoU", 1, tmp_path / "found")
    rows = ("images/deep/1.png", "labels/deep/1.png"), ("images/deep/1.png", "labels/deep/2.png")
    pairs = [make_pair("", *(tmp_path / name for name in row)) for row in rows]
    assert _rows(wish, pairs).splitlines() == [
        "deep/1.png",
        f"{tmp_path}/images/deep/1.png {tmp_path}/labels/deep/2.png",
    ]
