"""The scripts train, evaluate and search on each data set, on small trees in its true layout."""

from __future__ import annotations

import json

import prepare_ade20k
import prepare_voc_aug
import pytest
from trees import (
    CITYSCAPES,
    TRAINAUG,
    label_of,
    make_ade20k,
    make_cityscapes,
    make_sbd,
    make_voc,
    write_label,
)

PART = ["--partial", "--workers", "1", "--root"]
# Training set, test set, number of classes, and further options.
SETS = {
    "voc": ("voc_2012_sem_seg_trainaug", "voc_2012_sem_seg_val", 21),
    "cityscapes": ("cityscapes_fine_sem_seg_train", "cityscapes_fine_sem_seg_val", 19),
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
    """A folder with all of them, prepared; Cityscapes without its library."""
    folder = tmp_path_factory.mktemp("true_layouts")
    make_voc(folder)
    make_sbd(folder)
    make_ade20k(folder)
    cityscapes = make_cityscapes(folder)
    for split, names in CITYSCAPES.items():
        for name in names:
            path = cityscapes / "gtFine" / split / name.split("_")[0]
            label = label_of(name, (24, 48), [*range(19), 255])
            write_label(path / f"{name}_gtFine_labelTrainIds.png", label)
    assert prepare_voc_aug.main([*PART, str(folder)]) == 0
    assert prepare_ade20k.main([*PART, str(folder)]) == 0
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


@pytest.mark.parametrize("name", SETS)
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


def test_a_search_writes_both_lists_of_images(run):
    output = run("search_net.py", "voc", "SEARCH.ROUNDS", 1, "SOLVER.IMS_PER_BATCH", 2)
    split = json.loads((output / "split.json").read_text())
    images = sorted(split["search_names"] + split["holdout_names"])
    assert images == [f"{name}.jpg" for name in TRAINAUG]
    assert len(split["holdout_names"]) == split["holdout_images"] == 1
    assert split["rule"]["DATASETS.TRAIN"] == ["voc_2012_sem_seg_trainaug"]
