"""datasets/prepare_voc_aug.py on small trees of VOC's and SBD's layout."""

from __future__ import annotations

import shutil

import numpy as np
import prepare_voc_aug
import pytest
from PIL import Image
from trees import TRAINAUG, VOC_LISTS, make_sbd, make_voc, sbd_label, voc_label, write_mat

SCRIPT = "prepare_voc_aug.py"


@pytest.fixture
def voc(tmp_path):
    make_sbd(tmp_path)
    return make_voc(tmp_path)


def read(path):
    with Image.open(path) as picture:
        return picture.mode, np.asarray(picture)


def test_labels_and_list(voc, prepare):
    done = prepare(SCRIPT, "--root", voc.parent, "--partial")
    assert (done.returncode, done.stderr) == (0, "")
    assert "prepare_voc_aug: trainaug: 4 written, 0 right already" in done.stdout
    assert "prepare_voc_aug: trainaug: 4 of 10582 images" in done.stdout
    assert (voc / "ImageSets/Segmentation/trainaug.txt").read_text().split() == TRAINAUG
    labels = voc / "SegmentationClassAug"
    assert sorted(path.name for path in labels.iterdir()) == [f"{n}.png" for n in TRAINAUG]
    for name in TRAINAUG:
        mode, label = read(labels / f"{name}.png")
        expected = voc_label(name) if name in VOC_LISTS["train"] else sbd_label(name)
        assert mode == "P"
        np.testing.assert_array_equal(label, expected)


def test_the_palette_is_vocs(voc, prepare):
    prepare(SCRIPT, "--root", voc.parent, "--partial")
    with Image.open(voc / "SegmentationClassAug" / f"{TRAINAUG[0]}.png") as picture:
        palette = np.array(picture.getpalette()).reshape(-1, 3)
    np.testing.assert_array_equal(
        palette[[1, 20, 255]], [[128, 0, 0], [0, 64, 128], [224, 224, 192]]
    )


def test_a_second_run_changes_nothing(voc, as_user, tree):
    first = as_user(SCRIPT, "--root", voc.parent, "--partial", "--workers", "2")
    assert (first.returncode, first.stderr) == (0, "")
    before = tree(voc)
    again = as_user(SCRIPT, "--root", voc.parent, "--partial", "--workers", "1")
    assert (again.returncode, again.stderr) == (0, "")
    assert "trainaug: 0 written, 4 right already" in again.stdout
    list_file = "ImageSets/Segmentation/trainaug.txt"
    after = tree(voc)
    assert after.pop(list_file)[0] == before.pop(list_file)[0]  # written anew, the same
    assert after == before


def test_workers_write_the_same_files(voc, prepare, as_user, tree):
    prepare(SCRIPT, "--root", voc.parent, "--partial")
    first = {name: digest for name, (digest, _) in tree(voc).items()}
    shutil.rmtree(voc / "SegmentationClassAug")
    assert as_user(SCRIPT, "--root", voc.parent, "--partial", "--workers", "2").returncode == 0
    assert {name: digest for name, (digest, _) in tree(voc).items()} == first


def test_a_broken_tree_as_a_user_meets_it(voc, as_user):
    (voc / "JPEGImages/2008_000005.jpg").unlink()
    done = as_user(SCRIPT, "--root", voc.parent, "--workers", "1")
    assert done.returncode == 1
    assert "without JPEGImages/*.jpg: 2008_000005\n" in done.stderr
    assert "Traceback" not in done.stderr


def test_fewer_images_than_the_whole_set(voc, prepare):
    done = prepare(SCRIPT, "--root", voc.parent)
    assert done.returncode == 1
    assert (
        "train: 2 images instead of 1464; complete the download, or give --partial" in done.stderr
    )
    assert "trainaug: 4 images instead of 10582" in done.stderr
    assert not (voc / "ImageSets/Segmentation/trainaug.txt").exists()
    assert len(list((voc / "SegmentationClassAug").iterdir())) == 4  # the work is kept


def test_a_whole_set_needs_no_permission(voc, prepare, monkeypatch):
    assert prepare_voc_aug.COUNTS == {"train": 1464, "val": 1449, "trainaug": 10582}
    monkeypatch.setattr(prepare_voc_aug, "COUNTS", {"train": 2, "val": 2, "trainaug": 4})
    done = prepare(SCRIPT, "--root", voc.parent)
    assert (done.returncode, done.stderr) == (0, "")
    assert "trainaug: 4 of 4 images" in done.stdout
    assert (voc / "ImageSets/Segmentation/trainaug.txt").is_file()


MISSING = {
    "JPEGImages/2008_000005.jpg": r"1 images of these lists without JPEGImages/\*.jpg: 2008_000005",
    "SegmentationClass/2008_000004.png": "1 images of VOC without .*: 2008_000004",
    "../benchmark_RELEASE/dataset/cls/2008_000006.mat": "1 images of SBD without .*: 2008_000006",
    "../benchmark_RELEASE/dataset/val.txt": r"there is no list .*dataset/val\.txt",
    "ImageSets/Segmentation/val.txt": r"there is no list .*Segmentation/val\.txt",
}


@pytest.mark.parametrize("path", MISSING)
def test_what_is_missing_is_said(voc, prepare, path, match):
    (voc / path).unlink()
    done = prepare(SCRIPT, "--root", voc.parent, "--partial")
    assert done.returncode == 1
    match(MISSING[path], done.stderr)
    assert not (voc / "ImageSets/Segmentation/trainaug.txt").exists()


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("VOC2012", r"VOC2012 is no directory; give --root the folder that holds VOC2012/"),
        ("benchmark_RELEASE", r"dataset/cls is no directory; give --sbd the folder of SBD"),
    ],
)
def test_a_missing_folder_is_said(voc, prepare, match, folder, words):
    shutil.rmtree(voc.parent / folder)
    done = prepare(SCRIPT, "--root", voc.parent)
    assert done.returncode == 1
    match(words, done.stderr)


def test_lists_and_images_may_come_from_another_system(voc, prepare):
    for path in (voc / "ImageSets/Segmentation/train.txt", voc / "ImageSets/Segmentation/val.txt"):
        path.write_text(path.read_text().replace("\n", "\r\n"), encoding="utf-16", newline="")
    (voc / "JPEGImages/2008_000005.jpg").rename(voc / "JPEGImages/2008_000005.JPG")
    done = prepare(SCRIPT, "--root", voc.parent, "--partial")
    assert (done.returncode, done.stderr) == (0, "")
    assert (voc / "ImageSets/Segmentation/trainaug.txt").read_text().split() == TRAINAUG


def test_a_row_that_is_no_image_is_named(voc, prepare, match):
    (voc / "ImageSets/Segmentation/train.txt").write_text("2008_000001\n2008_000002 1\n")
    done = prepare(SCRIPT, "--root", voc.parent, "--partial")
    assert done.returncode == 1
    match(r"train\.txt, line 2: '2008_000002 1' is neither .*A line must be the name", done.stderr)


def test_sbd_may_lie_elsewhere(voc, prepare):
    (voc.parent / "benchmark_RELEASE/dataset").rename(voc.parent / "sbd")
    done = prepare(SCRIPT, "--root", voc.parent, "--sbd", voc.parent / "sbd", "--partial")
    assert done.returncode == 0


def test_damaged_sources_are_named_and_the_others_are_done(voc, prepare, match):
    cls = voc.parent / "benchmark_RELEASE/dataset/cls"
    (cls / "2008_000005.mat").write_bytes(b"no matlab")
    write_mat(cls / "2008_000006.mat", np.full((36, 48), 21, dtype=np.uint8))
    done = prepare(SCRIPT, "--root", voc.parent, "--partial")
    assert done.returncode == 1
    match(r"2008_000005\.mat: expected a MATLAB file with GTcls\.Segmentation", done.stderr)
    match(r"2008_000006\.mat: label values 21 are neither a class \(0\.\.20\)", done.stderr)
    there = sorted(path.stem for path in (voc / "SegmentationClassAug").iterdir())
    assert there == VOC_LISTS["train"]


def test_a_label_of_vocs_that_holds_colours_is_named(voc, prepare, match):
    Image.new("RGB", (40, 40)).save(voc / "SegmentationClass" / "2008_000003.png")
    done = prepare(SCRIPT, "--root", voc.parent, "--partial")
    assert done.returncode == 1
    match(r"2008_000003\.png: a label file holds one class index .*\(mode RGB\)", done.stderr)


@pytest.mark.parametrize("damage", ["cut", "other", "grey", "gone"])
def test_wrong_results_are_made_again(voc, prepare, tree, damage):
    prepare(SCRIPT, "--root", voc.parent, "--partial")
    folder = voc / "SegmentationClassAug"
    before = {name: digest for name, (digest, _) in tree(folder).items()}
    path = folder / "2008_000005.png"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-30])
    elif damage == "other":
        shutil.copy(folder / "2008_000006.png", path)
    elif damage == "grey":
        Image.fromarray(read(path)[1]).save(path)
    else:
        path.unlink()
    done = prepare(SCRIPT, "--root", voc.parent, "--partial")
    assert "trainaug: 1 written, 3 right already" in done.stdout
    assert {name: digest for name, (digest, _) in tree(folder).items()} == before
