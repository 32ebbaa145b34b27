"""datasets/prepare_cityscapes.py on a small tree of Cityscapes' layout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trees import CITYSCAPES, drawn_polygons, label_of, make_cityscapes

DATASETS = Path(__file__).parents[2] / "datasets"
SCRIPT = "prepare_cityscapes.py"
SIZE = (24, 48)
FIRST = "gtFine/train/aachen/aachen_000000_000019_gtFine"


@pytest.fixture
def library():
    return pytest.importorskip("cityscapesscripts", reason="needs the extra [datasets]")


@pytest.fixture
def cityscapes(tmp_path, library):
    return make_cityscapes(tmp_path, SIZE)


def read(folder, split, name, kind="labelTrainIds"):
    city = name.split("_")[0]
    with Image.open(folder / "gtFine" / split / city / f"{name}_gtFine_{kind}.png") as picture:
        return picture.mode, np.asarray(picture)


ALL = [(split, name) for split, names in CITYSCAPES.items() for name in names]


def test_label_ids_become_training_ids(cityscapes, prepare):
    from cityscapesscripts.helpers.labels import id2label

    done = prepare(SCRIPT, "--root", cityscapes.parent, "--partial")
    assert (done.returncode, done.stderr) == (0, "")
    assert "train: 3 written, 0 right already" in done.stdout
    assert "train: 3 of 2975 images" in done.stdout
    train_id = np.vectorize(lambda index: id2label[int(index)].trainId)
    for split, name in ALL:
        mode, label = read(cityscapes, split, name)
        assert mode == "L"
        np.testing.assert_array_equal(label, train_id(label_of(name, SIZE, range(34))))


def test_polygons_are_drawn_where_there_are_no_ids(tmp_path, library, prepare):
    folder = make_cityscapes(tmp_path, SIZE, ids=False)
    done = prepare(SCRIPT, "--root", tmp_path, "--partial")
    assert (done.returncode, done.stderr) == (0, "")
    for split, name in ALL:
        np.testing.assert_array_equal(read(folder, split, name)[1], drawn_polygons(SIZE))


def test_a_second_run_changes_nothing(tmp_path, library, as_user, tree):
    folder = make_cityscapes(tmp_path, SIZE, ids=False)
    first = as_user(SCRIPT, "--root", tmp_path, "--partial", "--workers", "2")
    assert (first.returncode, first.stderr) == (0, "")
    before = tree(folder)
    again = as_user(SCRIPT, "--root", tmp_path, "--partial", "--workers", "2")
    assert again.returncode == 0
    assert "train: 0 written, 3 right already" in again.stdout
    assert tree(folder) == before


def test_a_broken_tree_as_a_user_meets_it(cityscapes, as_user):
    for kind in ("labelIds.png", "polygons.json"):
        (cityscapes / f"{FIRST}_{kind}").unlink()
    done = as_user(SCRIPT, "--root", cityscapes.parent)
    assert done.returncode == 1
    assert "in gtFine/train/<city>: aachen_000000_000019\n" in done.stderr
    assert "Traceback" not in done.stderr


def test_fewer_images_than_the_whole_set(cityscapes, prepare):
    done = prepare(SCRIPT, "--root", cityscapes.parent)
    assert done.returncode == 1
    assert "train: 3 images instead of 2975" in done.stderr
    assert "val: 1 images instead of 500" in done.stderr


def test_an_image_without_annotation_and_the_reverse(cityscapes, prepare, match):
    for kind in ("labelIds.png", "polygons.json"):
        (cityscapes / f"{FIRST}_{kind}").unlink()
    (cityscapes / "leftImg8bit/val/munster/munster_000000_000019_leftImg8bit.png").unlink()
    done = prepare(SCRIPT, "--root", cityscapes.parent, "--partial")
    assert done.returncode == 1
    match(
        r"1 images of train without \*_gtFine_labelIds\.png .*: aachen_000000_000019", done.stderr
    )
    match(r"1 annotations of val without leftImg8bit/val/<city>/.*: munster_000000", done.stderr)


def test_unknown_ids_and_names_are_named_and_the_others_are_done(cityscapes, prepare, match):
    Image.new("L", SIZE[::-1], 34).save(cityscapes / f"{FIRST}_labelIds.png")
    second = "gtFine/train/aachen/aachen_000001_000019_gtFine"
    (cityscapes / f"{second}_labelIds.png").unlink()
    path = cityscapes / f"{second}_polygons.json"
    content = json.loads(path.read_text())
    content["objects"][0]["label"] = "unicorn"
    path.write_text(json.dumps(content))
    done = prepare(SCRIPT, "--root", cityscapes.parent, "--partial")
    assert done.returncode == 1
    match(r"aachen_000000_000019_gtFine_labelIds\.png: label ids \[34\] are unknown", done.stderr)
    match(r"_000001_000019_gtFine_polygons\.json: .*Label 'unicorn' not known", done.stderr)
    assert "train: 1 written" in done.stdout


def test_without_the_library_it_says_what_to_install(tmp_path, match):
    make_cityscapes(tmp_path, SIZE)
    blocked = (
        "import runpy, sys; sys.modules['cityscapesscripts'] = None; del sys.argv[0]; "
        "sys.path.insert(0, sys.argv.pop(0)); runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-c", blocked, DATASETS, DATASETS / SCRIPT]
    done = subprocess.run(
        [*map(str, command), "--root", str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    match(r"install the library with pip install 'auto-seg-loss\[datasets\]'", done.stderr)
    assert "Traceback" not in done.stderr
