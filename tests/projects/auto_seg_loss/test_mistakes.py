"""Mistakes of users: what each is refused with, and the key or file that the message must name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from PIL import Image

from auto_seg_loss.data import DatasetError
from auto_seg_loss.data.verify import check_data
from auto_seg_loss.modeling.build import network_on_meta
from auto_seg_loss.runtime.checks import (
    check_config,
    check_device,
    check_evaluation,
    check_loss,
    check_schedule,
    check_test_data,
    check_test_size,
    check_train_data,
    check_weights,
)
from auto_seg_loss.runtime.configs import load_config
from auto_seg_loss.runtime.errors import ConfigError

HEAD = "MODEL.SEM_SEG_HEAD."


def weights(values: list[float]) -> tuple[object, ...]:
    kind = (HEAD + "LOSS_TYPE", "weighted_cross_entropy")
    return *kind, HEAD + "LOSS_CLASS_WEIGHTS", values


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["SOLVER.MAX_ITERS", "3"], r"SOLVER\.MAX_ITERS; is it SOLVER\.MAX_ITER\?"),
        (["SOLVER.MAX_ITER"], "list of pairs"),
        (["SOLVER.MAX_ITER", "many"], r"SOLVER\.MAX_ITER"),
        (["TEST.METRICS", "Dice"], r"TEST\.METRICS"),
        (["IMPORTS", "['nowhere']"], r"IMPORTS .*nowhere"),
        (["IMPORTS", "[3]"], "IMPORTS"),
        (["SOLVER.MAX_ITER", "3", "--resume"], "--resume must come before"),
    ],
)
def test_options(tiny_config, options, named):
    with pytest.raises(ConfigError, match=named):
        load_config(str(tiny_config), options)


@pytest.mark.parametrize("line", ["def broken(:", "{}['mine']", "float('mine')"])
def test_a_module_of_the_user_that_raises_keeps_its_traceback(
    make_cfg, tmp_path, monkeypatch, line
):
    (tmp_path / "raises.py").write_text(line)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError) as caught:
        make_cfg("IMPORTS", "['raises']")
    first, *trace = str(caught.value).splitlines()
    assert first == "IMPORTS 'raises' raised:"
    assert trace[0].startswith("Traceback") and f"    {line}" in trace


def test_a_loader_of_the_user_that_raises_is_named(shapes, make_cfg, monkeypatch):
    monkeypatch.setitem(DatasetCatalog.data, "shapes_sem_seg_test", lambda: [float("mine")])
    with pytest.raises(ConfigError, match="data set 'shapes_sem_seg_test': could not convert"):
        check_test_data(make_cfg())


@pytest.mark.parametrize(
    ("check", "options", "named"),
    [
        (check_device, ("MODEL.DEVICE", "gpu"), r"MODEL\.DEVICE gpu"),
        (
            check_device,
            ("MODEL.DEVICE", "cuda:99"),
            r"DEVICE cuda:99: PyTorch finds \d+ GPUs .*cpu",
        ),
        (check_test_data, (HEAD + "NUM_CLASSES", 5), r"5 classes, .* 7 .*NUM_CLASSES to 7"),
        (check_test_data, ("DATASETS.TEST", "()"), r"DATASETS\.TEST"),
        (check_train_data, ("DATASETS.TRAIN", "('voc',)"), "'voc'; known: .*camvid_sem_seg_test"),
        (check_test_data, ("INPUT.LABEL_PALETTE", "[[0, 0, 256, 1]]"), r"INPUT\.LABEL_PALETTE"),
        (check_weights, ("MODEL.WEIGHTS", "none.pth"), r"none\.pth does not exist"),
        (check_evaluation, ("TEST.PROTOCOL", "lax"), r"TEST\..*'lax'.*strict, paper"),
        (check_evaluation, ("TEST.TOLERANCE", -1), r"TEST\.TOLERANCE.*-1"),
        (check_evaluation, ("TEST.METRICS", "('Foo',)"), r"TEST\..*METRICS.*'Foo'"),
        (check_schedule, ("SOLVER.MAX_ITER", 0), r"SOLVER\.MAX_ITER"),
        (check_schedule, ("SOLVER.ACCUMULATE", 0), r"SOLVER\.ACCUMULATE"),
        (check_test_size, (HEAD + "NAME", "DeepLabV3PlusHead"), r"cannot score .*test_00000\.jpg"),
        (check_loss, weights([1.0] * 6 + [-1.0]), "LOSS_CLASS_WEIGHTS"),
        (check_loss, (HEAD + "LOSS_SPEC", "miou"), r"LOSS_SPEC 'miou' is not used"),
        (check_loss, (HEAD + "LOSS_CLASS_WEIGHTS", [1.0] * 7), "WEIGHTS is not used .*weighted_"),
        (check_loss, (HEAD + "LOSS_TYPE", "dyce"), r"LOSS_TYPE 'dyce'; known .*cross_entropy"),
        (check_loss, (HEAD + "LOSS_TYPE", "auto_seg_loss"), r"LOSS_SPEC"),
        (network_on_meta, (HEAD + "NAME", "NoHead"), "NoHead"),
        (network_on_meta, (HEAD + "PROJECT_CHANNELS", [4, 4]), "project_channels"),
        (
            network_on_meta,
            ("MODEL.AUX_HEAD.ENABLED", True, "MODEL.AUX_HEAD.IN_FEATURE", "p3"),
            r"MODEL\.AUX_HEAD\.IN_FEATURE 'p3' is not among the backbone's features: res2",
        ),
    ],
)
def test_settings(shapes, make_cfg, check: Callable, options, named):
    with pytest.raises(ValueError, match=named):
        check(make_cfg(*options))


def test_sound_settings_pass(shapes, make_cfg):
    cfg = make_cfg("SEARCH.HOLDOUT.DATASETS", "('shapes_sem_seg_val',)")
    check_config(cfg, check_train_data, check_loss)
    stock = ("INPUT.CROP.SIZE", "[16, 32]")  # of images of 48 x 64
    check_test_size(make_cfg(HEAD + "NAME", "DeepLabV3PlusHead", *stock))


def test_a_gpu_is_counted_and_not_used(make_cfg, monkeypatch):
    """Used before the processes of a training begin, it would be taken from them."""
    used = torch.cuda.is_initialized()
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    check_device(make_cfg("MODEL.DEVICE", "cuda:1"))
    assert torch.cuda.is_initialized() == used


def test_a_missing_root_says_how_to_make_the_set(make_cfg, tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"make_shapes\.py --root"):
        check_test_data(make_cfg())


def write(value: int, size: tuple[int, int] = (64, 48)) -> Callable[[Path], None]:
    return lambda path: Image.new("L", size, value).save(path)


@pytest.mark.parametrize(
    ("name", "spoil", "words"),
    [
        ("JPEGImages/train_00001.jpg", Path.unlink, "no such file"),
        ("JPEGImages/val_00001.jpg", lambda p: p.write_bytes(p.read_bytes()[:300]), "cannot read"),
        ("SegmentationClass/test_00001.png", Path.unlink, "no such file"),
        ("SegmentationClass/train_00001.png", write(7), r"values 7 are neither a class \(0\.\.6\)"),
        ("SegmentationClass/val_00001.png", write(0, (10, 10)), "differ in size"),
    ],
)
def test_files(own_shapes, make_cfg, name, spoil, words):
    path = own_shapes / name
    spoil(path)
    with pytest.raises(DatasetError, match=words) as caught:
        cfg = make_cfg("SEARCH.HOLDOUT.DATASETS", "('shapes_sem_seg_val',)")
        check_test_data(cfg)
        check_train_data(cfg)
    assert path.name in str(caught.value)


def test_masks_of_0_and_255_are_refused_and_a_palette_reads_them(own_shapes, make_cfg):
    for path in (own_shapes / "SegmentationClass").glob("test_*"):
        mask = np.zeros((48, 64), np.uint8)
        mask[10:20] = 255
        Image.fromarray(mask).save(path)
    with pytest.raises(DatasetError, match=r"INPUT\.LABEL_PALETTE"):
        check_test_data(make_cfg())
    cfg = make_cfg("INPUT.LABEL_PALETTE", "[[0, 0, 0, 0], [255, 255, 255, 1]]")
    (labels, *_) = check_data(cfg, "shapes_sem_seg_test").values()
    assert labels.counts == {0: 48 * 64 - 640, 1: 640}
    with pytest.raises(ConfigError, match=r"INPUT\.LABEL_PALETTE.* 7 "):
        check_test_data(make_cfg("INPUT.LABEL_PALETTE", "[[0, 0, 0, 0], [255, 255, 255, 7]]"))


def test_black_images_are_refused(own_shapes, make_cfg):
    for path in (own_shapes / "JPEGImages").glob("test_*"):
        Image.new("RGB", (64, 48)).save(path)
    with pytest.raises(DatasetError, match="test_00000"):
        check_test_data(make_cfg())
