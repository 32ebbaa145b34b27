"""check_data.py as a user runs it."""

from __future__ import annotations

import shutil

from PIL import Image


def test_a_sound_set_is_summed_up(scripts, tiny_config):
    run = scripts.run("check_data.py", "--config-file", tiny_config).assert_ok()
    assert "data set 'shapes_sem_seg_train': 8 labels, 48x64 (HxW)" in run.stdout
    assert "data set 'shapes_sem_seg_test': 3 labels" in run.stdout
    assert "background" in run.stdout


def test_wrong_values_are_shown_and_then_refused(scripts, tiny_config, shapes_root, tmp_path):
    root = tmp_path / "datasets"
    shutil.copytree(shapes_root, root)
    Image.new("L", (64, 48), 9).save(root / "shapes/SegmentationClass/test_00000.png")
    run = scripts.run("check_data.py", "--config-file", tiny_config, DETECTRON2_DATASETS=str(root))
    assert "test_00000.png: label values 9 are neither" in run.refusal()
    assert "values that are neither a class nor void: 9 (in 1 files)" in run.stdout
