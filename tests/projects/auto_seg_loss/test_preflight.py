"""preflight.py: a mistake is found before anything is trained or written."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from auto_seg_loss.data import DatasetError
from auto_seg_loss.errors import ConfigError
from auto_seg_loss.preflight import (
    check_data,
    check_evaluation,
    check_test_data,
    check_train_data,
    check_weights,
    load_config,
    prepare,
)

CLASSES = "MODEL.SEM_SEG_HEAD.NUM_CLASSES"


@pytest.fixture
def own_shapes(shapes, tmp_path, monkeypatch) -> Path:
    """A copy of the data set to spoil."""
    root = tmp_path / "datasets"
    shutil.copytree(shapes, root)
    monkeypatch.setenv("DETECTRON2_DATASETS", str(root))
    return root / "shapes"


@pytest.fixture
def run_prepare(tiny_config, tmp_path):
    """``run_prepare(check, ...)``: what every script does first, with the tiny config."""

    def run(*checks):
        opts = ["OUTPUT_DIR", str(tmp_path / "output")]
        return prepare(argparse.Namespace(config_file=str(tiny_config), opts=opts), *checks)

    return run


# --- load_config ---


def test_options_win_over_the_file_and_the_file_over_defaults(tiny_config):
    cfg = load_config(str(tiny_config), ["SOLVER.MAX_ITER", "7"])
    assert (cfg.SOLVER.MAX_ITER, cfg.SOLVER.IMS_PER_BATCH) == (7, 4)
    assert cfg.SOLVER.MOMENTUM == 0.9
    assert not cfg.is_frozen()


def test_homes_are_expanded_wherever_a_path_stands(tiny_config, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    text = f'_BASE_: "{tiny_config}"\nSEARCH: {{WARM_START: {{WEIGHTS: "~/w.pth"}}}}\n'
    (tmp_path / "mine.yaml").write_text(text + 'STUDY: {LOSSES: ["~/a.json", dice]}\n')
    cfg = load_config("~/mine.yaml", ["OUTPUT_DIR", "~/out~", "MODEL.WEIGHTS", "x/~/w.pth"])
    found = [cfg.OUTPUT_DIR, cfg.SEARCH.WARM_START.WEIGHTS, cfg.STUDY.LOSSES, cfg.MODEL.WEIGHTS]
    home = str(tmp_path)
    assert found == [f"{home}/out~", f"{home}/w.pth", [f"{home}/a.json", "dice"], "x/~/w.pth"]


@pytest.mark.parametrize(
    "options, words",
    [
        (["SOLVER.MAX_ITERS", "3"], r"SOLVER\.MAX_ITERS"),
        (["SEARCH.PPO.SIGMAS", "3"], r"SEARCH\.PPO\.SIGMAS"),
        (["SOLVER.MAX_ITER"], "list of pairs"),
        (["SOLVER.MAX_ITER", "many"], r"SOLVER\.MAX_ITER"),
        (["SOLVER", "3"], "SOLVER"),
        (
            ["SOLVER.MAX_ITER", "1.5"],
            r"MAX_ITER must be of type int, such as 4; got 1\.5 of ",
        ),
        (["TEST.METRICS", "Dice"], r"""TEST\.METRICS must be .* give "\('Dice',\)\""""),
        (["STUDY.SEEDS", "3"], r"""STUDY\.SEEDS must be of type list.* give "\[3\]\""""),
    ],
)
def test_a_bad_option_is_named(tiny_config, options, words):
    with pytest.raises(ValueError, match=words):
        load_config(str(tiny_config), options)


@pytest.mark.parametrize(
    "text, words",
    [
        ("SOLVER:\n  MAX_ITERS: 3\n", r"SOLVER\.MAX_ITERS"),
        ("SOLVER:\n  MAX_ITER: many\n", r"SOLVER\.MAX_ITER"),
        ("SOLVER: [\n", "mine.yaml"),
    ],
    ids=["unknown key", "wrong type", "truncated"],
)
def test_a_bad_config_file_says_what_is_wrong(tiny_config, tmp_path, text, words):
    path = tmp_path / "mine.yaml"
    path.write_text(f'_BASE_: "{tiny_config}"\n{text}')
    with pytest.raises(ValueError, match=words):
        load_config(str(path), [])


def test_a_missing_config_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"^\S*/nothing\.yaml: there is no such config file$"):
        load_config(str(tmp_path / "nothing.yaml"), [])


# --- data, weights and evaluation ---


def check_datasets(cfg) -> None:
    """Both checks, in the order of the scripts."""
    check_test_data(cfg)
    check_train_data(cfg)


def test_sound_sets_pass(shapes, make_cfg):
    check_datasets(make_cfg("SEARCH.HOLDOUT.DATASETS", "('shapes_sem_seg_val',)"))


def test_an_evaluation_needs_no_training_data(own_shapes, make_cfg):
    for path in (own_shapes / "JPEGImages").glob("train_*"):
        path.unlink()
    check_test_data(make_cfg())
    with pytest.raises(DatasetError, match="8 problems in 8 images"):
        check_train_data(make_cfg())


def test_the_number_of_classes_must_be_the_sets(shapes, make_cfg):
    words = r"the head has 5 classes, .*has 7 .*set MODEL\.SEM_SEG_HEAD\.NUM_CLASSES to 7"
    with pytest.raises(ValueError, match=words):
        check_datasets(make_cfg(CLASSES, 5))


@pytest.mark.parametrize("key", ["DATASETS.TRAIN", "DATASETS.TEST"])
def test_an_empty_list_of_sets_is_refused(shapes, make_cfg, key):
    with pytest.raises(ConfigError, match=f"{key} must name a data set"):
        check_datasets(make_cfg(key, "()"))


@pytest.mark.parametrize("key", ["DATASETS.TRAIN", "DATASETS.TEST", "SEARCH.HOLDOUT.DATASETS"])
def test_an_unknown_set_lists_the_known_ones(shapes, make_cfg, key):
    with pytest.raises(ConfigError, match=r"'voc'; known: .*camvid_sem_seg_test, .*shapes_"):
        check_datasets(make_cfg(key, "('voc',)"))


def test_a_missing_root_says_how_to_make_the_set(make_cfg, tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"make_shapes\.py --root"):
        check_datasets(make_cfg())


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("folder, suffix", [("JPEGImages", "jpg"), ("SegmentationClass", "png")])
def test_a_missing_file_is_named(own_shapes, make_cfg, split, folder, suffix):
    path = own_shapes / folder / f"{split}_00001.{suffix}"
    path.unlink()
    with pytest.raises(DatasetError, match=f"{path.name}: no such file"):
        check_datasets(make_cfg())


def test_a_truncated_image_is_named(own_shapes, make_cfg):
    path = own_shapes / "JPEGImages" / "train_00002.jpg"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DatasetError, match=r"cannot read image .*train_00002\.jpg: "):
        check_datasets(make_cfg())


def test_image_and_label_of_different_size_are_named(own_shapes, make_cfg):
    path = own_shapes / "SegmentationClass" / "train_00003.png"
    Image.new("L", (10, 10)).save(path)
    with pytest.raises(DatasetError, match=r"differ in size: .*train_00003\.jpg is 48x64 \(HxW\)"):
        check_datasets(make_cfg())


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_label_values_are_looked_at_first(own_shapes, make_cfg, split):
    path = own_shapes / "SegmentationClass" / f"{split}_00001.png"
    Image.new("L", (64, 48), 7).save(path)
    words = rf"{split}_00001\.png: label values 7 are neither a class \(0\.\.6\).*LABEL_PALETTE"
    with pytest.raises(DatasetError, match=words):
        check_datasets(make_cfg("SEARCH.HOLDOUT.DATASETS", "('shapes_sem_seg_val',)"))


def test_masks_of_0_and_255_are_refused_and_a_palette_reads_them(own_shapes, make_cfg):
    for path in (own_shapes / "SegmentationClass").glob("test_*"):
        mask = np.zeros((48, 64), np.uint8)
        mask[10:20] = 255
        Image.fromarray(mask).save(path)
    with pytest.raises(DatasetError, match="all labels hold 0 and 255 only"):
        check_test_data(make_cfg())
    for white in (1, 255):
        palette = f"[[0, 0, 0, 0], [255, 255, 255, {white}]]"
        cfg = make_cfg("INPUT.LABEL_PALETTE", palette)
        (labels, *_) = check_data(cfg, "shapes_sem_seg_test").values()
        assert labels.counts == {0: 48 * 64 - 640, white: 640}


def test_a_palette_of_another_class_is_a_config_error(own_shapes, make_cfg):
    for path in (own_shapes / "SegmentationClass").glob("test_*"):
        Image.new("L", (64, 48)).save(path)
    cfg = make_cfg("INPUT.LABEL_PALETTE", "[[0, 0, 0, 0], [9, 9, 9, 7]]")
    with pytest.raises(ConfigError, match=r"^INPUT\.LABEL_PALETTE, .*label values 7 are neither"):
        check_test_data(cfg)


def test_black_images_are_refused(own_shapes, make_cfg):
    for path in (own_shapes / "JPEGImages").glob("test_*"):
        Image.new("RGB", (64, 48)).save(path)
    with pytest.raises(DatasetError, match="images are black"):
        check_test_data(make_cfg())


def test_an_unfit_palette_is_a_config_error(shapes, make_cfg):
    with pytest.raises(ConfigError, match=r"INPUT\.LABEL_PALETTE expects rows"):
        check_test_data(make_cfg("INPUT.LABEL_PALETTE", "[[0, 0, 0]]"))


def test_an_unfit_list_is_a_config_error(own_shapes, make_cfg):
    (own_shapes / "ImageSets/Segmentation/test.txt").write_text("test_00001 -1\n")
    with pytest.raises(ConfigError, match=r"test\.txt, line 1: 'test_00001 -1' is neither"):
        check_test_data(make_cfg())


def test_missing_weights_are_named(make_cfg, tmp_path):
    with pytest.raises(ConfigError, match=r"none\.pth does not exist"):
        check_weights(make_cfg("MODEL.WEIGHTS", tmp_path / "none.pth"))
    check_weights(make_cfg("MODEL.WEIGHTS", ""))


@pytest.mark.parametrize(
    "options, words",
    [
        (("TEST.PROTOCOL", "lax"), r"'lax'.*strict, paper"),
        (("TEST.TOLERANCE", -1), r"tolerance >= 0.*tolerance=-1"),
        (("TEST.METRICS", "('Foo',)"), r"Unknown metric 'Foo'"),
    ],
)
def test_an_evaluation_that_cannot_be_is_refused(make_cfg, options, words):
    with pytest.raises(ValueError, match=words):
        check_evaluation(make_cfg(*options))


# --- prepare ---


def test_the_config_is_frozen_and_nothing_written(shapes, run_prepare, tmp_path):
    assert run_prepare().is_frozen()
    assert not (tmp_path / "output").exists()


def test_nothing_is_written_when_a_file_is_missing(own_shapes, run_prepare, tmp_path):
    (own_shapes / "JPEGImages" / "test_00002.jpg").unlink()
    with pytest.raises(ValueError, match=r"test_00002\.jpg"):
        run_prepare()
    assert not (tmp_path / "output").exists()


def test_nothing_is_written_when_a_check_of_the_script_refuses(shapes, run_prepare, tmp_path):
    def refuse(cfg):
        raise ConfigError("no")

    with pytest.raises(ConfigError, match="no"):
        run_prepare(refuse)
    assert not (tmp_path / "output").exists()
