"""auto_seg_loss.data.verify: every problem of the files, at once, before training."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from auto_seg_loss.data import DatasetError, verify_dataset
from auto_seg_loss.data.catalog import make_pair
from auto_seg_loss.data.verify import check_brightness


@pytest.fixture
def pair(tmp_path):
    """The dict of an image of noise and its label."""
    noise = np.random.default_rng(0).integers(256, size=(20, 30, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.jpg")
    Image.new("L", (30, 20)).save(tmp_path / "label.png")
    return make_pair("a", tmp_path / "a.jpg", tmp_path / "label.png")


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_a_truncated_image_is_named(pair, file_format):
    path = Path(pair["file_name"])
    Image.open(path).save(path, file_format)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(DatasetError, match=rf"cannot read image {path}.*[Tt]runcated"):
        verify_dataset("d", [pair])


def test_all_problems_come_in_one_error(pair):
    items = [{**pair, "file_name": f"gone/{k}.jpg"} for k in range(13)]
    with pytest.raises(DatasetError, match=r"14 images, problems: 13") as caught:
        verify_dataset("d", [*items, pair])
    words = str(caught.value)
    assert words.count("no such file") == 10 and words.endswith("and 3 more")


def test_records_without_a_label_file_are_refused(pair):
    boxes = {"file_name": pair["file_name"], "annotations": []}  # as of a set for detection
    with pytest.raises(DatasetError, match=r"'d': 1 of 2 records have no sem_seg_file_name"):
        verify_dataset("d", [pair, boxes])


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
