"""auto_seg_loss.data.catalog: pairs of files, and the metadata of data sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from detectron2.data import MetadataCatalog

from auto_seg_loss.data.catalog import (
    colours_of,
    datasets_root,
    ignore_label_of,
    image_name,
    label_rule,
    records_of,
    register,
    unregister,
)
from auto_seg_loss.data.pairing import folder_pairs, listed_pairs


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def test_lonely_files_are_listed(tmp_path):
    touch(tmp_path / "i", "a.jpg", "b.jpg")
    touch(tmp_path / "l", "a.png", "c.png")
    with pytest.raises(FileNotFoundError, match=r"2 images and labels do not pair up") as caught:
        folder_pairs(tmp_path / "i", tmp_path / "l")
    assert str(caught.value).endswith(f"{tmp_path / 'i/b.jpg'}, {tmp_path / 'l/c.png'}")


@pytest.fixture
def voc_list(tmp_path):
    """``voc_list(text)``: the pairs of a list in VOC's layout, relative to its folder."""
    touch(tmp_path / "JPEGImages", "a.jpg", "b.JPG", "c.jpeg", "my image.png", "d.e.jpg")
    touch(tmp_path / "SegmentationClass", "a.png", "b.PNG", "c.png", "my image.png", "d.e.png")
    touch(tmp_path / "Other", "a.png")
    touch(tmp_path / "ImageSets" / "Segmentation")

    def read(text):
        (tmp_path / "ImageSets/Segmentation/train.txt").write_text(text)
        pairs = listed_pairs(tmp_path, "train")
        return [
            tuple(str(Path(p[key]).relative_to(tmp_path)) for key in ("file_name", FILE_OF_LABEL))
            for p in pairs
        ]

    return read


FILE_OF_LABEL = "sem_seg_file_name"
A = ("JPEGImages/a.jpg", "SegmentationClass/a.png")


@pytest.mark.parametrize(
    ("row", "pair"),
    [
        ("a", A),
        ("/JPEGImages/a.jpg", A),
        ("a.jpg a.png", A),
        ("/JPEGImages/a.jpg /SegmentationClass/a.png", A),
        ("/JPEGImages/a.jpg\t/Other/a.png", (A[0], "Other/a.png")),
        ("b.jpg", ("JPEGImages/b.JPG", "SegmentationClass/b.PNG")),
        ("d.e", ("JPEGImages/d.e.jpg", "SegmentationClass/d.e.png")),
        ("my image", ("JPEGImages/my image.png", "SegmentationClass/my image.png")),
        # What is not there is reported with all other missing files, by verify_dataset.
        ("new", ("JPEGImages/new.jpg", "SegmentationClass/new.png")),
        ("new.png", ("JPEGImages/new.png", "SegmentationClass/new.png")),
    ],
)
def test_rows_of_a_list(voc_list, row, pair):
    assert voc_list(f"{row}\n") == [pair]


def test_a_set_is_read_once_for_each_root_and_cannot_be_spoilt(monkeypatch):
    places = []

    def load():
        places.append(datasets_root())
        return [{"file_name": "a.jpg"}]

    register("read_once", load, classes=["a"], colours=[(0, 0, 0)], ignore_label=7)
    try:
        for root in ("one", "one", "two"):
            monkeypatch.setenv("DETECTRON2_DATASETS", root)
            for record in records_of(["read_once", "read_once"]):
                assert record.pop("file_name") == "a.jpg"
        assert places == [Path("one"), Path("two")]
        assert ignore_label_of("read_once") == 7
    finally:
        unregister("read_once")


@pytest.fixture
def bare():
    """A data set of 80 classes without further metadata; Detectron2's map has 74 colours."""
    MetadataCatalog.get("bare").set(stuff_classes=[str(number) for number in range(80)])
    yield "bare"
    MetadataCatalog.remove("bare")


def test_defaults_of_a_set_without_metadata(bare, make_cfg):
    assert ignore_label_of(bare) == 255
    colours = colours_of(bare)
    assert colours.shape == (80, 3) and colours.dtype == np.uint8 and colours.max() > 1
    np.testing.assert_array_equal(colours[74:], colours[:6])
    assert len(np.unique(colours[:10], axis=0)) == 10
    rule = label_rule(make_cfg("INPUT.LABEL_PALETTE", [[0, 0, 0, 1]]), [bare], 254)
    assert rule["palette"] == ((0, 0, 0, 1),)
    assert [*rule.values()][:3] == [80, 255, 254]


def test_names_of_nested_images_differ():
    records = [{"file_name": f"/x/i/{key}.jpg", "image_id": key} for key in ("a/1", "b/1", "1")]
    assert [image_name(record) for record in records] == ["a__1", "b__1", "1"]
    assert image_name({"file_name": "/x/7.jpg", "image_id": 3}) == "7"
