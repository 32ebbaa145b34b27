"""auto_seg_loss.data.verify: every problem of the files, at once, before training."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from detectron2.data import Metadata
from PIL import Image

from auto_seg_loss.data import DatasetError, check_num_classes, verify_dataset
from auto_seg_loss.data.looks import Seen
from auto_seg_loss.data.verify import check_brightness, check_masks, check_values


@pytest.fixture
def pair(tmp_path):
    """Writes an image and a label, (H, W) each, and returns their dict."""

    def write(stem="a", image=(20, 30), label=(20, 30), suffix=".jpg"):
        rng = np.random.default_rng(0)
        item = {
            "file_name": str(tmp_path / f"{stem}{suffix}"),
            "sem_seg_file_name": str(tmp_path / f"{stem}_label.png"),
        }
        noise = rng.integers(0, 256, (*image, 3)).astype(np.uint8)
        Image.fromarray(noise).save(item["file_name"])
        classes = rng.integers(0, 3, label).astype(np.uint8)
        Image.fromarray(classes).save(item["sem_seg_file_name"])
        return item

    return write


def cut(path):
    with open(path, "rb") as file:
        data = file.read()
    with open(path, "wb") as file:
        file.write(data[: len(data) * 2 // 3])


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_good_files_pass(pair, suffix):
    verify_dataset("good", [pair("a", suffix=suffix), pair("b", suffix=suffix)])


def test_an_image_without_a_label_passes(pair):
    item = pair()
    del item["sem_seg_file_name"]
    verify_dataset("images", [item])


@pytest.mark.parametrize("key", ["file_name", "sem_seg_file_name"])
def test_a_missing_file_is_named(pair, key):
    item = pair()
    item[key] += ".gone"
    with pytest.raises(DatasetError, match=r"data set 'd': 1 problems in 1 images") as caught:
        verify_dataset("d", [item])
    assert f"{item[key]}: no such file" in str(caught.value)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_truncated_image_is_named(pair, suffix):
    item = pair(suffix=suffix)
    cut(item["file_name"])
    with pytest.raises(DatasetError, match=r"cannot read image .*[Tt]runcated") as caught:
        verify_dataset("d", [item])
    assert item["file_name"] in str(caught.value)


def test_a_truncated_label_is_named(pair):
    item = pair(label=(200, 300), image=(200, 300))
    cut(item["sem_seg_file_name"])
    with pytest.raises(DatasetError, match=r"read label .*_label\.png: .*; restore the file"):
        verify_dataset("d", [item])


@pytest.mark.parametrize("content", [b"", b"not a picture"])
def test_a_file_that_is_no_picture_is_named(pair, content):
    item = pair()
    with open(item["file_name"], "wb") as file:
        file.write(content)
    with pytest.raises(
        DatasetError, match=r"cannot read image .*a\.jpg: not an image of a known .*; restore"
    ):
        verify_dataset("d", [item])


def test_bytes_after_the_end_are_harmless(pair):
    item = pair()
    with open(item["file_name"], "ab") as file:
        file.write(b"written by some phone")
    verify_dataset("d", [item])


def test_different_sizes_are_named_with_both_files(pair):
    item = pair(image=(20, 30), label=(10, 30))
    words = r"differ in size: .*a\.jpg is 20x30 \(HxW\), .*a_label\.png is 10x30"
    with pytest.raises(DatasetError, match=words):
        verify_dataset("d", [item])


def test_a_turned_photograph_has_the_size_that_detectron2_sees(pair):
    item = pair(image=(20, 30), label=(30, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter
    with Image.open(item["file_name"]) as picture:
        picture.save(item["file_name"], exif=exif)
    verify_dataset("d", [item])


def test_a_colour_label_is_refused(pair):
    item = pair()
    Image.new("RGB", (30, 20)).save(item["sem_seg_file_name"])
    with pytest.raises(DatasetError, match=r"holds colours \(mode RGB\).*LABEL_PALETTE"):
        verify_dataset("d", [item])


def test_all_problems_come_in_one_error(pair):
    items = [{"file_name": f"gone/{k}.jpg"} for k in range(13)]
    with pytest.raises(DatasetError, match=r"13 problems in 14 images") as caught:
        verify_dataset("d", [*items, pair()])
    words = str(caught.value)
    assert words.count("no such file") == 10 and words.endswith("and 3 more")


def test_an_empty_set_is_refused():
    with pytest.raises(DatasetError, match="data set 'd' has no images"):
        verify_dataset("d", [])


def test_number_of_classes():
    metadata = Metadata(name="d", stuff_classes=["road", "sky"])
    check_num_classes(2, metadata, "d")
    words = (
        r"the head has 19 classes, data set 'd' has 2 \(road, sky\); "
        r"set MODEL\.SEM_SEG_HEAD\.NUM_CLASSES to 2"
    )
    with pytest.raises(ValueError, match=words):
        check_num_classes(19, metadata, "d")


def test_metadata_without_classes():
    with pytest.raises(ValueError, match="'d' has no stuff_classes"):
        check_num_classes(2, SimpleNamespace(get=lambda name, default: default), "d")


def test_what_labels_hold_is_returned_by_path(pair):
    items = [pair("a", label=(1, 3), image=(1, 3)), {"file_name": pair("b")["file_name"]}]
    labels = verify_dataset("d", items)
    assert list(labels) == [items[0]["sem_seg_file_name"]]
    assert sum(labels[items[0]["sem_seg_file_name"]].counts.values()) == 3


LABELS = {"a.png": Seen(1, 4, {0: 3, 255: 1}), "b.png": Seen(1, 4, {1: 2, 4: 1, 9: 1})}


def test_values_outside_the_classes_name_file_value_and_remedy():
    check_values("d", LABELS, 10, 255)
    with pytest.raises(DatasetError, match=r"data set 'd': 1 problems in 2 images") as caught:
        check_values("d", LABELS, 3, 255)
    words = "b.png: label values 4, 9 are neither a class (0..2) nor the data set's ignore label"
    assert words in str(caught.value) and "set INPUT.LABEL_PALETTE" in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "classes", "ignore_label", "refused"),
    [
        ({"a": Seen(1, 2, {0: 1, 255: 1})}, 2, 255, True),
        ({"a": Seen(1, 2, {0: 2}), "b": Seen(1, 2, {255: 2})}, 2, 255, True),
        ({"a": Seen(1, 2, {0: 1, 255: 1}), "b": Seen(1, 2, {1: 2})}, 2, 255, False),
        ({"a": Seen(1, 2, {0: 2})}, 2, 255, False),
        ({"a": Seen(1, 2, {0: 1, 255: 1})}, 1, 255, False),
        ({"a": Seen(1, 2, {0: 1, 255: 1})}, 256, 11, False),
    ],
)
def test_masks_of_0_and_255_are_refused(labels, classes, ignore_label, refused):
    if not refused:
        return check_masks("d", labels, classes, ignore_label)
    with pytest.raises(DatasetError, match=r"'d': all labels hold 0 and 255.*\[255, 255, 255, 1\]"):
        check_masks("d", labels, classes, ignore_label)


def test_labels_that_are_all_void_are_refused():
    void = {"a.png": Seen(1, 2, {11: 2}), "b.png": Seen(1, 2, {11: 2})}
    with pytest.raises(DatasetError, match=r"'d': every pixel of its 2 labels is void \(11\)"):
        check_values("d", void, 11, 11)
    check_values("d", {**void, "c.png": Seen(1, 2, {0: 1, 11: 1})}, 11, 11)
    check_values("images alone", {}, 11, 11)


@pytest.mark.parametrize(
    ("kind", "channels", "highest", "read"),
    [
        ("uint16", 1, 255, 0),
        ("uint16", 3, 255, 0),
        ("uint16", 1, 4095, 15),
        ("uint16", 3, 4096, None),
        ("uint8", 3, 15, 15),
        ("uint8", 1, 16, None),
    ],
)
def test_black_images_are_refused(tmp_path, kind, channels, highest, read):
    dicts = []
    for number in range(11):  # of which 0, 2, 4, 6 and 8 are looked at
        image = np.zeros((2, 3, channels), kind)
        image[0, 0] = highest if number == 8 else 0
        dicts.append({"file_name": str(tmp_path / f"{number}.png")})
        assert cv2.imwrite(dicts[-1]["file_name"], image)
    if read is None:
        return check_brightness("d", dicts)
    with pytest.raises(DatasetError, match=rf"highest level is {read} of 255 in 5 .*0\.png first"):
        check_brightness("d", dicts)
