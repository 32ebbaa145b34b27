"""auto_seg_loss.data.mapper: what reaches the model, in training and in inference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import MetadataCatalog
from detectron2.data.detection_utils import SizeMismatchError
from PIL import Image
from trees import write_label

from auto_seg_loss.config import project_defaults
from auto_seg_loss.data import SemSegMapper
from auto_seg_loss.data.catalog import make_pair
from auto_seg_loss.data.mapper import build_augmentations


@pytest.fixture
def item(tmp_path):
    """An image of (H, W) = (20, 30) whose red channel is 10 x label; 3 is void."""
    return write(tmp_path, "a", 20, 30)


def write(folder, stem, height, width):
    label = (np.arange(height * width).reshape(height, width) // 7 % 4).astype(np.uint8)
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[:, :, 0] = 10 * label
    Image.fromarray(image).save(folder / f"{stem}.png")
    write_label(folder / f"{stem}_label.png", label, palette=True)
    return make_pair(stem, folder / f"{stem}.png", folder / f"{stem}_label.png")


@pytest.fixture
def cfg():
    """A config of two registered sets whose training images stay as they are."""
    config = project_defaults()
    config.INPUT.FORMAT, config.INPUT.CACHE = "RGB", False
    config.INPUT.MIN_SIZE_TRAIN, config.INPUT.RANDOM_FLIP = (0,), "none"
    config.INPUT.MIN_SIZE_TEST = 40
    config.DATASETS.TRAIN, config.DATASETS.TEST = ("mapper_train",), ("mapper_val",)
    config.SEARCH.HOLDOUT.DATASETS = ("mapper_val",)
    sets = {"mapper_train": "abc", "mapper_val": "abc", "mapper_other": "abcd"}
    for name, classes in sets.items():
        MetadataCatalog.get(name).set(stuff_classes=list(classes), ignore_label=3)
    yield config
    for name in sets:
        MetadataCatalog.remove(name)


def test_training_gives_image_and_indices(cfg, item):
    before = dict(item)
    result = SemSegMapper(cfg)(item)
    assert result["image"].shape == (3, 20, 30) and result["image"].dtype == torch.uint8
    assert result["sem_seg"].shape == (20, 30) and result["sem_seg"].dtype == torch.int64
    assert (result["height"], result["width"]) == (20, 30)
    assert result["file_name"] == item["file_name"] and result["image_id"] == "a"
    assert item == before
    levels = result["image"][0].long() // 10
    expected = torch.where(levels == 3, 255, levels)
    assert torch.equal(result["sem_seg"], expected)


def test_image_and_label_are_cropped_and_flipped_together(cfg, item):
    cfg.INPUT.CROP.ENABLED, cfg.INPUT.CROP.TYPE, cfg.INPUT.CROP.SIZE = True, "absolute", [9, 12]
    cfg.INPUT.RANDOM_FLIP = "horizontal"
    mapper = SemSegMapper(cfg)
    for _ in range(4):
        result = mapper(item)
        levels = result["image"][0].long() // 10
        assert levels.shape == (9, 12)
        assert torch.equal(result["sem_seg"], torch.where(levels == 3, 255, levels))
    kinds = [type(one).__name__ for one in build_augmentations(cfg, True)]
    assert kinds == ["ResizeShortestEdge", "RandomCrop_CategoryAreaConstraint", "RandomFlip"]


def test_a_label_of_another_size_is_refused(cfg, item, tmp_path):
    other = write(tmp_path, "b", 20, 31)
    with pytest.raises(SizeMismatchError, match=r"a\.png"):
        SemSegMapper(cfg)({**item, "sem_seg_file_name": other["sem_seg_file_name"]})


def test_the_cache_decodes_once_for_all_mappers(cfg, item):
    cfg.INPUT.CACHE = True
    first = SemSegMapper(cfg)(item)
    for key in ("file_name", "sem_seg_file_name"):
        Path(item[key]).unlink()
    second = SemSegMapper(cfg)(item)
    assert torch.equal(first["image"], second["image"])
    assert torch.equal(first["sem_seg"], second["sem_seg"])
    cfg.INPUT.CACHE = False
    with pytest.raises(FileNotFoundError):
        SemSegMapper(cfg)(item)


# Of an image of (40, 60): the middle, and the whole where it is shorter than the crop.
@pytest.mark.parametrize(
    ("crop", "rows", "columns"), [(16, (12, 28), (22, 38)), (50, (0, 40), (5, 55))]
)
def test_a_centre_crop_is_of_image_and_label_alike(cfg, item, crop, rows, columns):
    cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE = 99  # of the training's labels
    cropped, whole = SemSegMapper(cfg, False, crop=crop)(item), SemSegMapper(cfg, False)(item)
    (top, bottom), (left, right) = rows, columns
    assert torch.equal(cropped["image"], whole["image"][:, top:bottom, left:right])
    assert (cropped["height"], cropped["width"]) == (bottom - top, right - left)
    label = np.array(Image.open(item["sem_seg_file_name"]).resize((60, 40), Image.NEAREST))
    expected = np.where(label == 3, 255, label)[top:bottom, left:right]
    np.testing.assert_array_equal(cropped["sem_seg"], expected)


def test_sets_that_disagree_are_refused(cfg):
    cfg.DATASETS.TRAIN = ("mapper_train", "mapper_other")
    with pytest.raises(ValueError, match=r"must agree in \(number of classes, ignore label\)"):
        SemSegMapper(cfg, True)
