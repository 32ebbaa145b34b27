"""preflight.py: a mistake is found before anything is trained or written."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from auto_seg_loss.data import DatasetError
from auto_seg_loss.preflight import (
    FREE_KEYS,
    ConfigError,
    begin_training,
    check_evaluation,
    check_resume,
    check_test_data,
    check_train_data,
    check_weights,
    load_config,
    prepare,
)
from autoseg_core import load_spec

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


@pytest.mark.parametrize(
    "options, words",
    [
        (["SOLVER.MAX_ITERS", "3"], r"SOLVER\.MAX_ITERS"),
        (["SEARCH.PPO.SIGMAS", "3"], r"SEARCH\.PPO\.SIGMAS"),
        (["SOLVER.MAX_ITER"], "list of pairs"),
        (["SOLVER.MAX_ITER", "many"], r"SOLVER\.MAX_ITER"),
        (["SOLVER", "3"], "SOLVER"),
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
    with pytest.raises((ValueError, FileNotFoundError), match=r"nothing\.yaml"):
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
    with pytest.raises(DatasetError, match=r"train_00002\.jpg: unreadable"):
        check_datasets(make_cfg())


def test_image_and_label_of_different_size_are_named(own_shapes, make_cfg):
    path = own_shapes / "SegmentationClass" / "train_00003.png"
    Image.new("L", (10, 10)).save(path)
    with pytest.raises(DatasetError, match=r"differ in size: .*train_00003\.jpg is 48x64 \(HxW\)"):
        check_datasets(make_cfg())


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


# --- check_resume ---


@pytest.fixture
def saved(make_cfg):
    """``saved(KEY, VALUE, ...)``: the config, recorded as a first run would have."""

    def save(*options):
        cfg = make_cfg(*options)
        begin_training(cfg, resume=False)
        return cfg

    return save


def test_the_same_config_may_resume(saved):
    check_resume(saved())


def test_without_a_first_run_there_is_nothing_to_compare(make_cfg):
    check_resume(make_cfg())


def test_another_config_is_refused_with_exactly_what_differs(saved, make_cfg):
    saved()
    other = make_cfg("SOLVER.MAX_ITER", 9, "MODEL.SEM_SEG_HEAD.LOSS_TYPE", "hard_pixel_mining")
    with pytest.raises(ConfigError, match="holds a training with another config") as error:
        check_resume(other)
    assert [line for line in str(error.value).splitlines() if line.startswith("  ")] == [
        '  MODEL.SEM_SEG_HEAD.LOSS_TYPE: "cross_entropy" -> "hard_pixel_mining"',
        "  SOLVER.MAX_ITER: 4 -> 9",
    ]


@pytest.mark.parametrize(
    "key, value",
    [
        ("DATALOADER.NUM_WORKERS", 1),
        ("SOLVER.CHECKPOINT_PERIOD", 3),
        ("TEST.EVAL_PERIOD", 2),
        ("VIS_PERIOD", 2),
    ],
)
def test_free_keys_may_change(saved, make_cfg, key, value):
    assert key.startswith(FREE_KEYS)
    saved()
    check_resume(make_cfg(key, value))


def test_the_place_may_change(saved, make_cfg, tmp_path):
    cfg = saved()
    Path(cfg.OUTPUT_DIR).rename(tmp_path / "moved")
    check_resume(make_cfg("OUTPUT_DIR", tmp_path / "moved"))


def test_a_key_that_is_new_counts_as_its_default(saved, make_cfg):
    path = Path(saved().OUTPUT_DIR) / "run.json"
    record = json.loads(path.read_text())
    del record["config"]["SOLVER"]["ACCUMULATE"], record["config"]["MODEL"]["AUX_HEAD"]
    path.write_text(json.dumps(record))
    check_resume(make_cfg())
    with pytest.raises(ConfigError, match=r"SOLVER\.ACCUMULATE: 1 -> 2"):
        check_resume(make_cfg("SOLVER.ACCUMULATE", 2))


SEARCHED = ("MODEL.SEM_SEG_HEAD.LOSS_TYPE", "auto_seg_loss", "MODEL.SEM_SEG_HEAD.LOSS_SPEC")


def test_of_the_loss_the_content_counts_not_the_name(saved, make_cfg, tmp_path):
    saved(*SEARCHED, "voc-miou-bezier")
    path = tmp_path / "same.json"
    load_spec("voc-miou-bezier").save(path)
    check_resume(make_cfg(*SEARCHED, path))
    load_spec("voc-macc-bezier").save(path)
    with pytest.raises(ConfigError, match=r"LOSS_SPEC: names a loss with other content"):
        check_resume(make_cfg(*SEARCHED, path))


def test_a_fresh_training_leaves_no_older_checkpoint_to_resume(saved):
    cfg = saved()
    last = Path(cfg.OUTPUT_DIR) / "last_checkpoint"
    last.write_text("model_final.pth")
    begin_training(cfg, resume=True)
    assert last.exists()
    begin_training(cfg, resume=False)
    assert not last.exists()


def test_resuming_a_run_without_a_record_keeps_its_checkpoint(make_cfg):
    """As a run of Detectron2's own tools, or one whose record was lost."""
    cfg = make_cfg()
    last = Path(cfg.OUTPUT_DIR) / "last_checkpoint"
    last.parent.mkdir()
    last.write_text("model_0000003.pth")
    begin_training(cfg, resume=True)
    assert last.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"config": 1, "loss": null}'])
def test_a_damaged_record_is_named(saved, make_cfg, text):
    path = Path(saved().OUTPUT_DIR) / "run.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"run\.json is damaged"):
        check_resume(make_cfg())
