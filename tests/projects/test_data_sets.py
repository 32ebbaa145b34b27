"""A script searches on a folder that DATASETS.FOLDER describes; training: test_find_loss.py."""

from __future__ import annotations

import json

from trees import make_voc

OPTIONS = (
    *("DATASETS.FOLDER.IMAGES", "VOC2012/JPEGImages"),
    *("DATASETS.FOLDER.LABELS", "VOC2012/SegmentationClass"),
    *("DATASETS.TRAIN", "('folder_sem_seg_train',)", "DATASETS.TEST", "('folder_sem_seg_test',)"),
    *("SEARCH.HOLDOUT.DATASETS", "('folder_sem_seg_holdout',)", "SOLVER.IMS_PER_BATCH", 2),
    *("MODEL.SEM_SEG_HEAD.NUM_CLASSES", 21, "SOLVER.MAX_ITER", 2, "SEARCH.ROUNDS", 1),
)


def test_a_search_keeps_its_images_and_their_rule(scripts, tiny_config, tmp_path):
    make_voc(tmp_path)
    output = tmp_path / "run"
    command = ("search_net.py", "--config-file", tiny_config, *OPTIONS, "OUTPUT_DIR", output)
    scripts.run(*command, DETECTRON2_DATASETS=str(tmp_path)).assert_ok()
    split = json.loads((output / "split.json").read_text())
    assert (split["search_images"], split["holdout_images"]) == (2, 1)  # of the 4 with a label
    assert split["rule"]["DATASETS.FOLDER"]["HOLDOUT_SHARE"] == 0.2
    assert len(split["search_names"]) == 2 and len(split["holdout_names"]) == 1
