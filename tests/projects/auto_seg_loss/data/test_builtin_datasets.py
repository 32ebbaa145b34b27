"""auto_seg_loss.data.builtin_datasets: each set as registered, on trees in its true layout."""

from __future__ import annotations

import make_shapes
import numpy as np
import prepare_ade20k
import prepare_voc_aug
import pytest
import torch
from detectron2.data import DatasetCatalog, DatasetMapper, MetadataCatalog
from PIL import Image, ImageOps
from trees import (
    ADE20K,
    CITYSCAPES,
    TRAINAUG,
    label_of,
    make_ade20k,
    make_cityscapes,
    make_sbd,
    make_voc,
    voc_label,
    write_label,
)

from auto_seg_loss.config import project_defaults
from auto_seg_loss.data import SemSegMapper, verify_dataset
from auto_seg_loss.data.builtin_datasets import SETS, voc_colours
from auto_seg_loss.evaluation import build_evaluator, build_test_loader

NAMES = [f"{name}_sem_seg_{split}" for name, one in SETS.items() for split in one.splits]
PART = ["--partial", "--workers", "1", "--root"]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "classes", "first", "void"),
    [
        ("voc_2012_sem_seg_trainaug", 21, "background", 255),
        ("cityscapes_fine_sem_seg_val", 19, "road", 255),
        ("ade20k_sem_seg_val", 150, "wall", 255),
        ("camvid_sem_seg_test", 11, "sky", 11),
        ("shapes_sem_seg_test", 7, "background", 255),
    ],
)
def test_metadata(name, classes, first, void):
    metadata = MetadataCatalog.get(name)
    assert metadata.stuff_classes[0] == first and metadata.ignore_label == void
    assert len(metadata.stuff_classes) == classes
    assert len({tuple(colour) for colour in metadata.stuff_colors}) == classes


def test_colours_and_classes_are_those_of_the_devkit_and_of_the_script():
    np.testing.assert_array_equal(voc_colours(256), make_shapes.voc_colour_map())
    assert SETS["voc_2012"].classes["person"] == (192, 128, 128)
    assert tuple(SETS["shapes"].classes) == make_shapes.drawing.CLASSES


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_set_says_where_it_looked(root, name):
    with pytest.raises(FileNotFoundError, match=rf"README\.md .* expected in {root}/"):
        DatasetCatalog.get(name)


@pytest.mark.parametrize(
    ("name", "make", "script", "ids"),
    [
        ("ade20k_sem_seg_train", (make_ade20k,), prepare_ade20k, ADE20K["training"]),
        ("ade20k_sem_seg_val", (make_ade20k,), prepare_ade20k, ADE20K["validation"]),
        ("voc_2012_sem_seg_trainaug", (make_voc, make_sbd), prepare_voc_aug, TRAINAUG),
    ],
)
def test_a_set_is_read_as_its_script_makes_it(root, name, make, script, ids):
    for fill in make:
        fill(root)
    with pytest.raises(FileNotFoundError, match=rf"datasets/{script.__name__}\.py --root "):
        DatasetCatalog.get(name)
    assert script.main([*PART, str(root)]) == 0
    pairs = DatasetCatalog.get(name)
    assert [pair["image_id"] for pair in pairs] == ids
    verify_dataset(name, pairs)


@pytest.mark.parametrize("split", CITYSCAPES)
def test_cityscapes_is_sorted_by_city_sequence_and_frame(root, split):
    folder = make_cityscapes(root)
    for name in CITYSCAPES[split]:
        path = folder / "gtFine" / split / name.split("_")[0]
        label = label_of(name, (24, 48), [*range(19), 255])
        write_label(path / f"{name}_gtFine_labelTrainIds.png", label)
    pairs = DatasetCatalog.get(f"cityscapes_fine_sem_seg_{split}")
    assert [pair["image_id"] for pair in pairs] == CITYSCAPES[split]
    verify_dataset(split, pairs)
    name = CITYSCAPES[split][0]
    stem = f"{split}/{name.split('_')[0]}/{name}"
    assert pairs[0]["file_name"] == str(folder / f"leftImg8bit/{stem}_leftImg8bit.png")


@pytest.mark.parametrize("suffix", [".png", ".JPG"])
def test_camvid_is_sorted_and_images_may_be_jpeg_or_png(root, suffix):
    for folder, names in {
        "train": (f"b{suffix}", f"a{suffix}", ".hidden.png", "notes.txt"),
        "trainannot": ("a.png", "b.png"),
    }.items():
        (root / "camvid" / folder).mkdir(parents=True)
        for name in names:
            (root / "camvid" / folder / name).touch()
    pairs = DatasetCatalog.get("camvid_sem_seg_train")
    assert [pair["image_id"] for pair in pairs] == ["a", "b"]
    assert pairs[0]["file_name"] == str(root / f"camvid/train/a{suffix}")
    assert pairs[0]["sem_seg_file_name"] == str(root / "camvid/trainannot/a.png")


@pytest.fixture
def cfg():
    config = project_defaults()
    config.DATASETS.TRAIN = config.DATASETS.TEST = ("voc_2012_sem_seg_val",)
    config.INPUT.MIN_SIZE_TEST = 0
    config.INPUT.FORMAT = "BGR"
    config.DATALOADER.NUM_WORKERS = 0
    return config


def test_the_test_loader_and_the_evaluator_agree_on_turned_images(root, cfg):
    make_voc(root)
    dicts = DatasetCatalog.get("voc_2012_sem_seg_val")
    evaluator = build_evaluator(cfg, "voc_2012_sem_seg_val")
    for batch in build_test_loader(cfg, dicts):
        (item,) = batch
        label = voc_label(item["image_id"])
        assert (item["height"], item["width"]) == label.shape == tuple(item["image"].shape[1:])
        guess = torch.from_numpy(np.where(label == 255, 0, label)).long()
        scores = torch.nn.functional.one_hot(guess, 21).permute(2, 0, 1)
        evaluator.process(batch, [{"sem_seg": scores}])
    assert evaluator.evaluate()["sem_seg"]["mIoU"] == 100


@pytest.mark.parametrize(
    ("mode", "orientation"), [("RGB", n) for n in range(1, 9)] + [("L", 6), ("CMYK", 6)]
)
def test_images_are_read_as_detectron2_reads_them(cfg, tmp_path, mode, orientation):
    ramp = np.linspace(0, 255, 24 * 36).reshape(24, 36).astype(np.uint8)
    picture = Image.fromarray(np.stack([ramp, ramp.T.reshape(24, 36), 255 - ramp], 2))
    exif = Image.Exif()
    exif[0x0112] = orientation
    item = {"file_name": str(tmp_path / "a.jpg")}
    picture.convert(mode).save(item["file_name"], exif=exif)
    ours = SemSegMapper(cfg, False)(item)
    cfg.INPUT.MIN_SIZE_TEST = 24  # the height and width that it has
    theirs = DatasetMapper(cfg, False)(item)
    assert torch.equal(ours["image"], theirs["image"])
    assert (ours["height"], ours["width"]) == (theirs["height"], theirs["width"])
    with Image.open(item["file_name"]) as file:
        upright = np.asarray(ImageOps.exif_transpose(file).convert("RGB"))
    np.testing.assert_array_equal(ours["image"].flip(0).permute(1, 2, 0), upright)
