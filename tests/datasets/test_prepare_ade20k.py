"""datasets/prepare_ade20k.py on a small tree of the challenge's layout."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image
from trees import ADE20K, make_ade20k

SCRIPT = "prepare_ade20k.py"
FIRST = f"training/{ADE20K['training'][0]}"


@pytest.fixture
def ade(tmp_path):
    return make_ade20k(tmp_path)


def read(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_classes_begin_at_0_and_other_is_255(ade, prepare):
    done = prepare(SCRIPT, "--root", ade.parent, "--partial")
    assert (done.returncode, done.stderr) == (0, "")
    assert "training: 2 written, 0 right already" in done.stdout
    for split, names in ADE20K.items():
        for name in names:
            source = read(ade / "annotations" / split / f"{name}.png").astype(int)
            made = read(ade / "annotations_detectron2" / split / f"{name}.png")
            np.testing.assert_array_equal(made, np.where(source == 0, 255, source - 1))


def test_a_second_run_changes_nothing(ade, as_user, tree):
    first = as_user(SCRIPT, "--root", ade.parent, "--partial", "--workers", "2")
    assert (first.returncode, first.stderr) == (0, "")
    before = tree(ade)
    again = as_user(SCRIPT, "--root", ade.parent, "--partial", "--workers", "2")
    assert again.returncode == 0
    assert "training: 0 written, 2 right already" in again.stdout
    assert tree(ade) == before


def test_a_broken_tree_as_a_user_meets_it(ade, as_user):
    (ade / f"images/{FIRST}.jpg").unlink()
    done = as_user(SCRIPT, "--root", ade.parent)
    assert done.returncode == 1
    assert f"without images/training/*.jpg: {ADE20K['training'][0]}\n" in done.stderr
    assert "Traceback" not in done.stderr


def test_fewer_images_than_the_whole_set(ade, prepare):
    done = prepare(SCRIPT, "--root", ade.parent)
    assert done.returncode == 1
    assert "training: 2 images instead of 20210" in done.stderr
    assert "validation: 1 images instead of 2000" in done.stderr


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (f"images/{FIRST}.jpg", r"1 annotations of training without images/training/\*\.jpg: ADE_"),
        (f"annotations/{FIRST}.png", r"1 images of training without annotations/training/\*\.png"),
    ],
)
def test_what_is_missing_is_said(ade, prepare, match, path, words):
    (ade / path).unlink()
    done = prepare(SCRIPT, "--root", ade.parent, "--partial")
    assert done.returncode == 1
    match(words, done.stderr)


def test_values_above_the_classes_are_refused(ade, prepare, match):
    Image.new("L", (48, 32), 152).save(ade / f"annotations/{FIRST}.png")
    done = prepare(SCRIPT, "--root", ade.parent, "--partial")
    assert done.returncode == 1
    match(rf"{FIRST}\.png: label values 152 are neither a class \(0\.\.150\)", done.stderr)
    assert not (ade / f"annotations_detectron2/{FIRST}.png").exists()


def test_sixteen_bit_annotations_give_the_same_labels(ade, prepare):
    path = ade / f"annotations/{FIRST}.png"
    source = read(path).astype(np.uint16)
    Image.fromarray(source).save(path)
    assert prepare(SCRIPT, "--root", ade.parent, "--partial").returncode == 0
    made = read(ade / f"annotations_detectron2/{FIRST}.png")
    assert made.dtype == np.uint8
    np.testing.assert_array_equal(made, np.where(source == 0, 255, source - 1))


def test_256_is_not_other(ade, prepare, match):
    Image.fromarray(np.full((32, 48), 256, np.uint16)).save(ade / f"annotations/{FIRST}.png")
    done = prepare(SCRIPT, "--root", ade.parent, "--partial")
    assert done.returncode == 1
    match(r"label values 256 are neither", done.stderr)


def test_the_root_may_begin_with_a_tilde(ade, prepare, monkeypatch):
    monkeypatch.setenv("HOME", str(ade.parent))
    assert prepare(SCRIPT, "--root", "~", "--partial").returncode == 0
    monkeypatch.setenv("DETECTRON2_DATASETS", "~")
    assert prepare(SCRIPT, "--partial").returncode == 0


def test_no_set_and_an_empty_one(ade, prepare, match):
    shutil.rmtree(ade / "images")
    shutil.rmtree(ade / "annotations")
    empty = prepare(SCRIPT, "--root", ade.parent, "--partial")
    assert empty.returncode == 1
    match("nothing to do was found", empty.stderr)
    none = prepare(SCRIPT, "--root", ade / "nowhere")
    assert none.returncode == 1
    match("nowhere/ADEChallengeData2016 is no directory; give --root", none.stderr)
