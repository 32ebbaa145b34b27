"""auto_seg_loss.data.catalog, camvid, shapes: registration, pairing, words for what is missing."""

from __future__ import annotations

from pathlib import Path

import make_shapes
import numpy as np
import pytest
from detectron2.data import DatasetCatalog

from auto_seg_loss.data import shapes
from auto_seg_loss.data.catalog import folder_pairs, listed_pairs

REPOSITORY = Path(__file__).parents[4]
NAMES = [
    f"{name}_sem_seg_{split}" for name in ("camvid", "shapes") for split in ("train", "val", "test")
]


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    return tmp_path


def test_shapes_agrees_with_the_script_that_makes_it():
    assert tuple(shapes.CLASSES) == make_shapes.drawing.CLASSES
    assert shapes.IGNORE_LABEL == make_shapes.drawing.VOID
    colours = make_shapes.voc_colour_map()[: len(shapes.CLASSES)]
    np.testing.assert_array_equal(list(shapes.CLASSES.values()), colours)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".JPG"])
def test_camvid_pairs_are_sorted_and_images_may_be_jpeg_or_png(root, suffix):
    touch(root / "camvid/train", f"b{suffix}", f"a{suffix}", ".hidden.png", "notes.txt")
    touch(root / "camvid/trainannot", "a.png", "b.png")
    pairs = DatasetCatalog.get("camvid_sem_seg_train")
    assert [pair["image_id"] for pair in pairs] == ["a", "b"]
    assert pairs[0]["file_name"] == str(root / f"camvid/train/a{suffix}")
    assert pairs[0]["sem_seg_file_name"] == str(root / "camvid/trainannot/a.png")


@pytest.mark.parametrize(
    ("name", "folder", "remedy"),
    [
        ("shapes_sem_seg_val", "shapes", r"python datasets/make_shapes\.py --root "),
        ("camvid_sem_seg_val", "camvid", r"see datasets/README\.md\), or let DETECTRON2_DATASETS"),
    ],
)
def test_a_missing_set_says_where_it_looked_and_what_to_do(root, name, folder, remedy):
    with pytest.raises(FileNotFoundError, match=remedy) as caught:
        DatasetCatalog.get(name)
    assert f"{root / folder} is no directory (its parent is DETECTRON2_DATASETS" in str(
        caught.value
    )


def test_lonely_files_are_listed(tmp_path):
    touch(tmp_path / "i", "a.jpg", "b.jpg")
    touch(tmp_path / "l", "a.png", "c.png")
    with pytest.raises(FileNotFoundError, match=r"2 images and labels .* do not pair up") as caught:
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
        ("a.jpg", A),
        ("/JPEGImages/a.jpg", A),
        ("JPEGImages\\a.jpg", A),
        ("a.jpg a.png", A),
        ("/JPEGImages/a.jpg /SegmentationClass/a.png", A),
        ("/JPEGImages/a.jpg\t/Other/a.png", (A[0], "Other/a.png")),
        ("b", ("JPEGImages/b.JPG", "SegmentationClass/b.PNG")),
        ("b.jpg", ("JPEGImages/b.JPG", "SegmentationClass/b.PNG")),
        ("c", ("JPEGImages/c.jpeg", "SegmentationClass/c.png")),
        ("d.e", ("JPEGImages/d.e.jpg", "SegmentationClass/d.e.png")),
        ("my image", ("JPEGImages/my image.png", "SegmentationClass/my image.png")),
        # What is not there is reported with all other missing files, by verify_dataset.
        ("new", ("JPEGImages/new.jpg", "SegmentationClass/new.png")),
        ("new.png", ("JPEGImages/new.png", "SegmentationClass/new.png")),
    ],
)
def test_rows_of_a_list(voc_list, row, pair):
    assert voc_list(f"{row}\n") == [pair]
