"""check_data.py as a user runs it."""

from __future__ import annotations

import numpy as np
from PIL import Image
from trees import write_image, write_label, write_list


def test_wrong_values_are_shown_and_then_refused(scripts, tiny_config, own_shapes):
    Image.new("L", (64, 48), 9).save(own_shapes / "SegmentationClass/test_00000.png")
    copy = {"DETECTRON2_DATASETS": str(own_shapes.parent)}
    run = scripts.run("check_data.py", "--config-file", tiny_config, **copy)
    assert "test_00000.png: label values 9 are neither" in run.refusal()
    assert "values that are neither a class nor void: 9 (in 1 files)" in run.stdout


def test_a_folder_is_cut_and_what_is_left_out_is_told(scripts, tiny_config, tmp_path):
    for name, values in (("a_1", [0]), ("a_2", [0, 1]), ("b_1", [0]), ("c_1", [1]), ("d_1", [0])):
        write_image(tmp_path / "mine/images" / f"{name}.jpg", (8, 8))
        label = np.resize(np.array(values, dtype=np.uint8), (8, 8))
        write_label(tmp_path / "mine/labels" / f"{name}.png", label)
    (tmp_path / "mine/labels/d_1.png").unlink()
    write_list(tmp_path / "mine/test.txt", ["c_1"])
    write_list(tmp_path / "mine/train.txt", ["a_1", "a_2"])
    write_list(tmp_path / "mine/classes.txt", ["road", "crack"])
    run = scripts.run(
        *("check_data.py", "--config-file", tiny_config, "MODEL.SEM_SEG_HEAD.NUM_CLASSES", 2),
        *("DATASETS.FOLDER.IMAGES", "mine/images", "DATASETS.FOLDER.LABELS", "mine/labels"),
        *("DATASETS.FOLDER.TRAIN", "mine/train.txt", "DATASETS.FOLDER.TEST", "mine/test.txt"),
        *("DATASETS.TRAIN", "('folder_sem_seg_train',)"),
        *("DATASETS.TEST", "('folder_sem_seg_test',)"),
        *("SEARCH.HOLDOUT.DATASETS", "('folder_sem_seg_holdout',)"),
        DETECTRON2_DATASETS=str(tmp_path),
    ).assert_ok()
    rows = [line.split() for line in run.stdout.splitlines()]
    assert ["1", "crack", "50.000", "1", "0", "0", "100.000", "1"] in rows
    assert f"1 files without a counterpart: {tmp_path}/mine/images/d_1.jpg" in run.stdout
    assert f"1 files in no part: {tmp_path}/mine/images/b_1.jpg" in run.stdout
    assert "folder_sem_seg_holdout: classes that never occur: crack" in run.stdout
