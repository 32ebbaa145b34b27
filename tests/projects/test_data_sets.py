"""The scripts train and search on a folder that DATASETS.FOLDER describes."""

from __future__ import annotations

import json

import pytest
from trees import make_voc

OPTIONS = (
    *("DATASETS.FOLDER.IMAGES", "VOC2012/JPEGImages"),
    *("DATASETS.FOLDER.LABELS", "VOC2012/SegmentationClass"),
    *("DATASETS.TRAIN", "('folder_sem_seg_train',)", "DATASETS.TEST", "('folder_sem_seg_test',)"),
    *("SEARCH.HOLDOUT.DATASETS", "('folder_sem_seg_holdout',)", "SOLVER.IMS_PER_BATCH", 2),
    *("MODEL.SEM_SEG_HEAD.NUM_CLASSES", 21, "SOLVER.MAX_ITER", 2, "SEARCH.ROUNDS", 1),
)


@pytest.fixture
def run(scripts, tiny_config, tmp_path):
    """``run(script)`` to its end, without an error; returns its output folder."""

    def start(script):
        make_voc(tmp_path)
        command = (script, "--config-file", tiny_config, *OPTIONS, "OUTPUT_DIR", tmp_path / "run")
        scripts.run(*command, DETECTRON2_DATASETS=str(tmp_path)).assert_ok()
        return tmp_path / "run"

    return start


def test_a_training_ends_with_scores(run):
    rows = map(json.loads, (run("train_net.py") / "metrics.json").read_text().splitlines())
    assert len([row for row in rows if "sem_seg/mIoU" in row]) == 1


def test_a_search_keeps_its_images_and_their_rule(run):
    split = json.loads((run("search_net.py") / "split.json").read_text())
    assert (split["search_images"], split["holdout_images"]) == (2, 1)  # of the 4 with a label
    assert split["rule"]["DATASETS.FOLDER"]["HOLDOUT_SHARE"] == 0.2
    assert len(split["search_names"]) == 2 and len(split["holdout_names"]) == 1
