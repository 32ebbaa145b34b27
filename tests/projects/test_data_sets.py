"""The scripts train, evaluate and search on small trees of true layouts."""

from __future__ import annotations

import json

import prepare_ade20k
import pytest
from trees import (
    make_ade20k,
    make_voc,
)

# Training set, test set, number of classes, and further options.
SETS = {
    "ade20k": ("ade20k_sem_seg_train", "ade20k_sem_seg_val", 150),
    "folder": (
        *("folder_sem_seg_train", "folder_sem_seg_test", 21),
        *("DATASETS.FOLDER.IMAGES", "VOC2012/JPEGImages"),
        *("DATASETS.FOLDER.LABELS", "VOC2012/SegmentationClass"),
        *("SEARCH.HOLDOUT.DATASETS", "('folder_sem_seg_holdout',)"),
    ),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with both, prepared."""
    folder = tmp_path_factory.mktemp("true_layouts")
    make_voc(folder)
    make_ade20k(folder)
    assert prepare_ade20k.main(["--partial", "--workers", "1", "--root", str(folder)]) == 0
    return folder


@pytest.fixture
def run(scripts, tiny_config, root, tmp_path):
    """``run(script, set, option, ...)`` to its end, without an error; returns its output folder."""

    def start(script, name, *options):
        train, test, classes, *more = SETS[name]
        data = ("DATASETS.TRAIN", f"('{train}',)", "DATASETS.TEST", f"('{test}',)")
        head = ("MODEL.SEM_SEG_HEAD.NUM_CLASSES", classes, "OUTPUT_DIR", tmp_path / "run")
        command = (script, "--config-file", tiny_config, *data, *head, *more, *options)
        scripts.run(*command, DETECTRON2_DATASETS=str(root)).assert_ok()
        return tmp_path / "run"

    return start


@pytest.mark.parametrize("name", ["ade20k", "folder"])
def test_a_training_ends_with_scores(run, name):
    output = run("train_net.py", name, "SOLVER.MAX_ITER", 2, "SOLVER.IMS_PER_BATCH", 2)
    rows = [json.loads(line) for line in (output / "metrics.json").read_text().splitlines()]
    scores = [row for row in rows if any(key.endswith("mIoU") for key in row)]
    assert len(scores) == 1


def test_a_search_on_a_folder_keeps_its_rule(run):
    output = run("search_net.py", "folder", "SEARCH.ROUNDS", 1, "SOLVER.IMS_PER_BATCH", 2)
    split = json.loads((output / "split.json").read_text())
    assert (split["search_images"], split["holdout_images"]) == (2, 1)  # of the 4 with a label
    assert split["rule"]["DATASETS.FOLDER"]["HOLDOUT_SHARE"] == 0.2
    assert len(split["search_names"]) == 2 and len(split["holdout_names"]) == 1
