"""auto_seg_loss.data.mapper: what reaches the model, in training and in inference."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.config import get_cfg
from detectron2.data import DatasetCatalog, MetadataCatalog, build_detection_train_loader
from detectron2.data import transforms as T
from detectron2.projects.deeplab import add_deeplab_config
from detectron2.structures import ImageList
from PIL import Image

from auto_seg_loss.data import SemSegMapper, clear_cache, mapper

PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]


@pytest.fixture(autouse=True)
def empty_cache():
    clear_cache()
    yield
    clear_cache()


@pytest.fixture
def item(tmp_path):
    """An image of (H, W) = (20, 30) whose red channel is 10 x label; 3 is void."""
    return write(tmp_path, "a", 20, 30)


def write(folder, stem, height, width):
    label = (np.arange(height * width).reshape(height, width) // 7 % 4).astype(np.uint8)
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[:, :, 0] = 10 * label
    Image.fromarray(image).save(folder / f"{stem}.png")
    picture = Image.fromarray(label)
    picture.putpalette(PALETTE)
    picture.save(folder / f"{stem}_label.png")
    return {
        "file_name": str(folder / f"{stem}.png"),
        "sem_seg_file_name": str(folder / f"{stem}_label.png"),
        "image_id": stem,
    }


def make(is_train=True, augmentations=(), **keywords):
    defaults = {"image_format": "RGB", "num_classes": 3, "ignore_label": 3}
    return SemSegMapper(is_train, augmentations=list(augmentations), **{**defaults, **keywords})


@pytest.fixture
def cfg():
    """Detectron2's config, as add_auto_seg_loss_config leaves it, on two tiny registered sets."""
    config = get_cfg()
    add_deeplab_config(config)
    config.INPUT.CACHE, config.INPUT.LABEL_PALETTE = False, []
    config.DATASETS.TRAIN = ("mapper_test_train",)
    config.DATASETS.TEST = ("mapper_test_val",)
    config.INPUT.MIN_SIZE_TRAIN = (20, 40)
    config.INPUT.MIN_SIZE_TRAIN_SAMPLING = "choice"
    config.INPUT.MIN_SIZE_TEST = 40
    config.INPUT.CROP.ENABLED = True
    config.INPUT.CROP.TYPE = "absolute"
    config.INPUT.CROP.SIZE = [16, 24]
    config.DATALOADER.NUM_WORKERS = 0
    for name, classes in (("train", "abc"), ("val", "abc"), ("other", "abcd")):
        MetadataCatalog.get(f"mapper_test_{name}").set(stuff_classes=list(classes), ignore_label=3)
    yield config
    for name in ("train", "val", "other"):
        MetadataCatalog.remove(f"mapper_test_{name}")


def test_training_gives_image_and_indices(item):
    before = dict(item)
    result = make()(item)
    assert result["image"].shape == (3, 20, 30) and result["image"].dtype == torch.uint8
    assert result["sem_seg"].shape == (20, 30) and result["sem_seg"].dtype == torch.int64
    assert (result["height"], result["width"]) == (20, 30)
    assert result["file_name"] == item["file_name"] and result["image_id"] == "a"
    assert item == before
    levels = result["image"][0].long() // 10
    expected = torch.where(levels == 3, 255, levels)
    assert torch.equal(result["sem_seg"], expected)


def test_inference_reads_no_label(item):
    Path(item["sem_seg_file_name"]).unlink()
    result = make(is_train=False, augmentations=[T.ResizeShortestEdge(40, 400)])(item)
    assert "sem_seg" not in result
    assert result["image"].shape == (3, 40, 60)
    assert (result["height"], result["width"]) == (20, 30)  # of the file


def test_image_and_label_are_augmented_together(item):
    augmentations = [T.RandomFlip(prob=1.0), T.CropTransform(3, 5, 12, 9)]
    result = make(augmentations=augmentations)(item)
    levels = result["image"][0].long() // 10
    assert levels.shape == (9, 12)
    assert torch.equal(result["sem_seg"], torch.where(levels == 3, 255, levels))


def test_scaled_labels_hold_no_new_values(item):
    result = make(augmentations=[T.ResizeShortestEdge(33, 400)])(item)
    assert set(result["sem_seg"].unique().tolist()) == {0, 1, 2, 255}


def test_channels_follow_the_image_format(item):
    rgb, bgr = make()(item)["image"], make(image_format="BGR")(item)["image"]
    assert torch.equal(rgb.flip(0), bgr) and not torch.equal(rgb, bgr)


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P"])
def test_images_of_any_mode(item, tmp_path, mode):
    path = tmp_path / ("b.jpg" if mode == "CMYK" else "b.png")
    Image.new("RGB", (30, 20), (50, 50, 50)).convert(mode).save(path)
    image = make()({**item, "file_name": str(path)})["image"]
    assert image.shape == (3, 20, 30)
    assert (image.long() - 50).abs().max() <= 3


def test_exif_rotation_is_applied(item, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 30)).save(tmp_path / "b.jpg", exif=exif)  # turned: 30 wide, 20 high
    assert make()({**item, "file_name": str(tmp_path / "b.jpg")})["image"].shape == (3, 20, 30)


def test_different_sizes_name_both_files(item, tmp_path):
    Image.new("RGB", (31, 20)).save(tmp_path / "b.png")
    words = r"differ in size: .*b\.png is 20x31 \(HxW\), .*a_label\.png is 20x30"
    with pytest.raises(ValueError, match=words):
        make()({**item, "file_name": str(tmp_path / "b.png")})


def test_a_label_outside_the_classes_names_the_file(item):
    with pytest.raises(ValueError, match=r"a_label\.png: label values 2 are neither"):
        make(num_classes=2)(item)


def test_training_without_a_label_is_refused(item):
    del item["sem_seg_file_name"]
    with pytest.raises(ValueError, match=r"no label is known for .*a\.png"):
        make()(item)


def test_an_unreadable_image_is_named(item):
    data = Path(item["file_name"]).read_bytes()
    Path(item["file_name"]).write_bytes(data[:60])
    with pytest.raises(OSError, match=r"cannot read image .*a\.png"):
        make()(item)
    Path(item["file_name"]).unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.png"):
        make()(item)


def test_images_smaller_than_the_crop_are_padded_by_the_model(tmp_path):
    crop = T.RandomCrop_CategoryAreaConstraint("absolute", [16, 24], 0.9, 255)
    mapped = [
        make(augmentations=[crop])(write(tmp_path, name, *size))
        for name, size in (("small", (10, 30)), ("large", (20, 30)))
    ]
    assert [tuple(m["image"].shape) for m in mapped] == [(3, 10, 24), (3, 16, 24)]
    # What DeepLab's meta architecture does with a batch.
    images = ImageList.from_tensors([m["image"] for m in mapped], 16)
    labels = ImageList.from_tensors([m["sem_seg"] for m in mapped], 16, 255).tensor
    assert images.tensor.shape[-2:] == labels.shape[-2:] == (16, 32)
    assert (labels[0, 10:] == 255).all() and (labels[:, :, 24:] == 255).all()


def test_the_cache_decodes_once_for_all_mappers(item, monkeypatch):
    reads = []
    real = mapper.read_label
    monkeypatch.setattr(
        mapper, "read_label", lambda path, **k: reads.append(path) or real(path, **k)
    )
    first = make(cache=True)(item)
    Path(item["file_name"]).unlink()
    second = make(cache=True)(item)
    assert torch.equal(first["image"], second["image"])
    assert torch.equal(first["sem_seg"], second["sem_seg"])
    assert len(reads) == 1
    clear_cache()
    with pytest.raises(FileNotFoundError):
        make(cache=True)(item)


def test_the_cache_is_not_changed_by_what_happens_to_the_result(item):
    train = make(cache=True)
    first = train(item)
    expected = first["image"].clone(), first["sem_seg"].clone()
    first["image"].fill_(7)
    first["sem_seg"].fill_(7)
    second = train(item)
    assert torch.equal(second["image"], expected[0]) and torch.equal(second["sem_seg"], expected[1])


def test_the_cache_tells_ways_of_reading_apart(item):
    make(cache=True)(item)
    assert make(cache=True, num_classes=4, ignore_label=9)(item)["sem_seg"].max() == 3
    assert make(cache=True, image_format="BGR")(item)["image"][0].max() == 0


def test_without_cache_nothing_is_kept(item):
    make()(item)
    assert not mapper._DECODED


def test_from_config_in_training(cfg, item):
    train = SemSegMapper(cfg, True)
    assert (train.num_classes, train.ignore_label, train.ignore_value) == (3, 3, 255)
    assert train.image_format == "BGR" and not train.cache
    kinds = [type(a).__name__ for a in train.augmentations.augs]
    assert kinds == ["ResizeShortestEdge", "RandomCrop_CategoryAreaConstraint", "RandomFlip"]
    result = train(item)
    assert result["image"].shape == (3, 16, 24) and result["sem_seg"].shape == (16, 24)


def test_from_config_in_inference(cfg, item):
    test = SemSegMapper(cfg, is_train=False)
    assert [type(a).__name__ for a in test.augmentations.augs] == ["ResizeShortestEdge"]
    result = test(item)
    assert result["image"].shape == (3, 40, 60) and "sem_seg" not in result


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


@pytest.mark.parametrize("key", ["MIN_SIZE_TRAIN", "MIN_SIZE_TEST"])
def test_a_size_of_zero_leaves_images_as_they_are(cfg, item, key):
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TEST = (0,), 0
    cfg.INPUT.CROP.ENABLED = False
    assert SemSegMapper(cfg, key == "MIN_SIZE_TRAIN")(item)["image"].shape == (3, 20, 30)


@pytest.mark.parametrize(("flip", "count"), [("none", 2), ("horizontal", 3), ("vertical", 3)])
def test_flips_follow_the_config(cfg, flip, count):
    cfg.INPUT.RANDOM_FLIP = flip
    assert len(SemSegMapper(cfg, True).augmentations.augs) == count


def test_cache_and_ignore_value_come_from_the_config(cfg):
    cfg.INPUT.CACHE = True
    cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE = 99
    train = SemSegMapper(cfg, True)
    assert train.cache and train.ignore_value == 99


def test_sets_that_disagree_are_refused(cfg):
    cfg.DATASETS.TRAIN = ("mapper_test_train", "mapper_test_other")
    with pytest.raises(ValueError, match=r"must agree in \(number of classes, ignore label\)"):
        SemSegMapper(cfg, True)


def test_no_set_and_unknown_sets_are_refused(cfg):
    cfg.DATASETS.TRAIN = ()
    with pytest.raises(ValueError, match=r"set DATASETS\.TRAIN and DATASETS\.TEST"):
        SemSegMapper(cfg, True)
    cfg.DATASETS.TRAIN = ("mapper_test_unknown",)
    try:
        with pytest.raises(ValueError, match="'mapper_test_unknown' has no stuff_classes"):
            SemSegMapper(cfg, True)
    finally:
        MetadataCatalog.remove("mapper_test_unknown")


def test_it_works_in_detectron2s_loader(cfg, tmp_path):
    items = [write(tmp_path, str(k), 20, 30) for k in range(4)]
    DatasetCatalog.register("mapper_test_train", lambda: items)
    try:
        cfg.SOLVER.IMS_PER_BATCH = 2
        loader = build_detection_train_loader(cfg, mapper=SemSegMapper(cfg, True))
        batch = next(iter(loader))
    finally:
        DatasetCatalog.remove("mapper_test_train")
    assert len(batch) == 2 and all(b["sem_seg"].shape == (16, 24) for b in batch)


def test_it_can_be_sent_to_workers(item):
    copy = pickle.loads(pickle.dumps(make()))
    assert torch.equal(copy(item)["sem_seg"], make()(item)["sem_seg"])
