"""datasets/prepare_voc_aug.py on small trees of VOC's and SBD's layout."""

from __future__ import annotations

import shutil

import numpy as np
import prepare_voc_aug
import pytest
from PIL import Image
from trees import TRAINAUG, VOC_LISTS, make_sbd, make_voc, sbd_label, voc_label, write_mat

LIST, LABELS = "ImageSets/Segmentation/trainaug.txt", "SegmentationClassAug"


@pytest.fixture
def voc(tmp_path):
    make_sbd(tmp_path)
    return make_voc(tmp_path)


@pytest.fixture
def run(tmp_path, prepare):
    return lambda *arguments: prepare("prepare_voc_aug", tmp_path, *arguments)


def test_labels_and_list(voc, run):
    done = run()
    assert (done.status, done.err) == (0, "")
    assert "trainaug: 4 written, 0 right already" in done.out
    assert "trainaug: 4 of 10582 images" in done.out
    assert (voc / LIST).read_text().split() == TRAINAUG
    assert sorted(path.stem for path in (voc / LABELS).iterdir()) == TRAINAUG
    for name in TRAINAUG:
        expected = voc_label(name) if name in VOC_LISTS["train"] else sbd_label(name)
        with Image.open(voc / LABELS / f"{name}.png") as picture:
            assert picture.mode == "P"
            palette = np.array(picture.getpalette()).reshape(-1, 3)
            np.testing.assert_array_equal(np.asarray(picture), expected)
        known = [[128, 0, 0], [0, 64, 128], [224, 224, 192]]
        np.testing.assert_array_equal(palette[[1, 20, 255]], known)


def test_a_second_run_makes_wrong_labels_again_and_leaves_the_others(voc, run, tree):
    run()
    before = tree(voc / LABELS)
    first, second, third, _ = (voc / LABELS / f"{name}.png" for name in TRAINAUG)
    first.write_bytes(first.read_bytes()[:-30])
    shutil.copy(third, second)
    with Image.open(third) as picture:
        Image.fromarray(np.asarray(picture)).save(third)  # without its palette
    assert "trainaug: 3 written, 1 right already" in run().out
    after = tree(voc / LABELS)
    assert {name: content for name, (content, _) in after.items()} == {
        name: content for name, (content, _) in before.items()
    }
    assert "trainaug: 0 written, 4 right already" in run().out
    assert tree(voc / LABELS) == after


def test_only_a_whole_set_gets_a_list_without_permission(voc, run, monkeypatch):
    done = run("--workers", "1")
    assert done.status == 1 and "trainaug: 4 images instead of 10582" in done.err
    assert not (voc / LIST).exists()
    assert len(list((voc / LABELS).iterdir())) == 4  # the work is kept
    assert prepare_voc_aug.COUNTS == {"val": 1449, "trainaug": 10582}
    monkeypatch.setattr(prepare_voc_aug, "COUNTS", {"val": 2, "trainaug": 4})
    assert run("--workers", "1").status == 0
    assert (voc / LIST).is_file()


SBD = "../benchmark_RELEASE/dataset"


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("JPEGImages/2008_000005.jpg", "2008_000005"),
        (f"{SBD}/cls/2008_000006.mat", "2008_000006"),
        ("ImageSets/Segmentation/val.txt", "Segmentation/val.txt"),
        (f"{SBD}/cls", "--sbd"),
    ],
)
def test_what_is_missing_is_named(voc, run, path, named):
    (shutil.rmtree if (voc / path).is_dir() else type(voc).unlink)(voc / path)
    done = run()
    assert done.status == 1 and named in done.err
    assert not (voc / LIST).exists()


def test_lists_and_images_may_come_from_another_system(voc, run):
    for split in ("train", "val"):
        path = voc / f"ImageSets/Segmentation/{split}.txt"
        path.write_text(path.read_text().replace("\n", "\r\n"), encoding="utf-16", newline="")
    (voc / "JPEGImages/2008_000005.jpg").rename(voc / "JPEGImages/2008_000005.JPG")
    (voc / SBD).resolve().rename(voc / "sbd")
    assert run("--partial", "--sbd", voc / "sbd").status == 0
    assert (voc / LIST).read_text().split() == TRAINAUG


def test_damaged_sources_are_named_and_the_others_are_done(voc, run):
    (voc / SBD / "cls/2008_000005.mat").write_bytes(b"no matlab")
    write_mat(voc / SBD / "cls/2008_000006.mat", np.full((36, 48), 21, dtype=np.uint8))
    Image.new("RGB", (40, 40), "red").save(voc / "SegmentationClass/2008_000003.png")
    done = run()
    assert done.status == 1
    assert "2008_000005.mat: expected a MATLAB file" in done.err
    assert "2008_000006.mat: label values 21" in done.err
    assert "2008_000003.png: " in done.err
    there = sorted(path.stem for path in (voc / LABELS).iterdir())
    assert there == VOC_LISTS["train"]
