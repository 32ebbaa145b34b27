"""auto_seg_loss.data.voc: palette labels, void, mixed sizes, and images of every kind."""

from __future__ import annotations

import make_shapes
import numpy as np
import prepare_voc_aug
import pytest
import torch
from detectron2.config import get_cfg
from detectron2.data import DatasetCatalog, DatasetMapper
from PIL import Image, ImageOps
from trees import TRAINAUG, VOC_LISTS, make_sbd, make_voc, sbd_label, voc_label

from auto_seg_loss.config import add_auto_seg_loss_config
from auto_seg_loss.data import (
    SemSegMapper,
    read_label,
    verify_dataset,
)
from auto_seg_loss.data.voc import CLASSES, voc_colours
from auto_seg_loss.evaluation import build_evaluator, build_test_loader

NAMES = [f"voc_2012_sem_seg_{split}" for split in ("train", "trainaug", "val")]


@pytest.fixture
def voc(tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    return make_voc(tmp_path)


@pytest.fixture
def trainaug(voc):
    make_sbd(voc.parent)
    assert prepare_voc_aug.main(["--root", str(voc.parent), "--partial", "--workers", "1"]) == 0
    return voc


@pytest.fixture
def cfg():
    config = get_cfg()
    add_auto_seg_loss_config(config)
    config.DATASETS.TRAIN = (NAMES[0],)
    config.DATASETS.TEST = (NAMES[2],)
    config.MODEL.SEM_SEG_HEAD.NUM_CLASSES = 21
    config.INPUT.MIN_SIZE_TRAIN, config.INPUT.MIN_SIZE_TEST = (0,), 0
    config.INPUT.CROP.ENABLED = False
    config.INPUT.RANDOM_FLIP = "none"
    config.INPUT.FORMAT = "RGB"
    config.DATALOADER.NUM_WORKERS = 0
    config.SOLVER.IMS_PER_BATCH = 2
    return config


def test_the_palette_is_that_of_the_devkit():
    colours = voc_colours(256)
    np.testing.assert_array_equal(colours, make_shapes.voc_colour_map())
    assert CLASSES["person"] == (192, 128, 128)
    assert colours[255] == (224, 224, 192)


def test_trainaug_has_vocs_labels_first_and_sbds_for_the_rest(trainaug):
    pairs = DatasetCatalog.get("voc_2012_sem_seg_trainaug")
    assert [pair["image_id"] for pair in pairs] == TRAINAUG
    verify_dataset("trainaug", pairs)
    found = [read_label(p["sem_seg_file_name"], num_classes=21, ignore_label=255) for p in pairs]
    for name, label in zip(TRAINAUG, found, strict=True):
        expected = voc_label(name) if name in VOC_LISTS["train"] else sbd_label(name)
        np.testing.assert_array_equal(label, expected)


def test_the_test_loader_and_the_evaluator_agree_on_turned_images(voc, cfg):
    dicts = DatasetCatalog.get(NAMES[2])
    evaluator = build_evaluator(cfg, dicts, NAMES[2])
    for batch in build_test_loader(cfg, dicts):
        (item,) = batch
        label = voc_label(item["image_id"])
        assert (item["height"], item["width"]) == label.shape == tuple(item["image"].shape[1:])
        guess = torch.from_numpy(np.where(label == 255, 0, label)).long()
        evaluator.process(
            batch, [{"sem_seg": torch.nn.functional.one_hot(guess, 21).permute(2, 0, 1)}]
        )
    assert evaluator.evaluate()["sem_seg"]["mIoU"] == 100


@pytest.fixture
def picture(tmp_path):
    """Writes a picture whose corners differ, and returns its data set dict."""

    def write(mode, orientation):
        ramp = np.linspace(0, 255, 24 * 36).reshape(24, 36).astype(np.uint8)
        image = Image.fromarray(np.stack([ramp, ramp.T.reshape(24, 36), 255 - ramp], 2)).convert(
            mode
        )
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"{mode}-{orientation}.jpg"
        image.save(path, exif=exif)
        return {"file_name": str(path)}

    return write


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
def test_images_are_read_as_detectron2_reads_them(cfg, picture, mode, orientation):
    item = picture(mode, orientation)
    cfg.INPUT.FORMAT = "BGR"
    ours = SemSegMapper(cfg, False)(item)
    cfg.INPUT.MIN_SIZE_TEST = 24  # the height and width that it has
    theirs = DatasetMapper(cfg, False)(item)
    assert torch.equal(ours["image"], theirs["image"])
    assert (ours["height"], ours["width"]) == (theirs["height"], theirs["width"])
    with Image.open(item["file_name"]) as file:
        upright = np.asarray(ImageOps.exif_transpose(file).convert("RGB"))
    np.testing.assert_array_equal(ours["image"].flip(0).permute(1, 2, 0), upright)
