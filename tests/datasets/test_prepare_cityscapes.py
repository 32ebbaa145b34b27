"""datasets/prepare_cityscapes.py on a small tree of Cityscapes' layout."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from trees import CITYSCAPES, drawn_polygons, label_of, make_cityscapes

SIZE = (24, 48)
AACHEN = "gtFine/train/aachen/aachen_00000{}_000019_gtFine_{}"
ALL = [(split, name) for split, names in CITYSCAPES.items() for name in names]

pytest.importorskip("cityscapesscripts", reason="needs the extra [datasets]")


@pytest.fixture
def cityscapes(tmp_path):
    return make_cityscapes(tmp_path, SIZE)


@pytest.fixture
def run(tmp_path, prepare):
    return lambda *arguments: prepare("prepare_cityscapes", tmp_path, *arguments)


def read(folder, split, name):
    city = name.split("_")[0]
    with Image.open(folder / f"gtFine/{split}/{city}/{name}_gtFine_labelTrainIds.png") as picture:
        assert picture.mode == "L"
        return np.asarray(picture)


def test_label_ids_become_training_ids(cityscapes, run):
    from cityscapesscripts.helpers.labels import id2label

    done = run()
    assert (done.status, done.err) == (0, "")
    assert "train: 3 written, 0 right already" in done.out
    assert "train: 3 of 2975 images" in done.out
    train_id = np.vectorize(lambda index: id2label[int(index)].trainId)
    for split, name in ALL:
        expected = train_id(label_of(name, SIZE, range(34)))
        np.testing.assert_array_equal(read(cityscapes, split, name), expected)


def test_polygons_are_drawn_where_there_are_no_ids(tmp_path, run):
    folder = make_cityscapes(tmp_path, SIZE, ids=False)
    done = run()
    assert (done.status, done.err) == (0, "")
    for split, name in ALL:
        np.testing.assert_array_equal(read(folder, split, name), drawn_polygons(SIZE))


def test_what_is_missing_is_named(cityscapes, run):
    for kind in ("labelIds.png", "polygons.json"):
        (cityscapes / AACHEN.format(0, kind)).unlink()
    (cityscapes / "leftImg8bit/val/munster/munster_000000_000019_leftImg8bit.png").unlink()
    done = run("--workers", "1")
    assert done.status == 1
    assert "of train are unmatched: aachen_000000_000019\n" in done.err
    assert "of val are unmatched: munster_000000_000019\n" in done.err
    assert "train: 2 images instead of 2975" in done.err


def test_unknown_ids_and_names_are_named_and_the_others_are_done(cityscapes, run):
    Image.new("L", SIZE[::-1], 34).save(cityscapes / AACHEN.format(0, "labelIds.png"))
    (cityscapes / AACHEN.format(1, "labelIds.png")).unlink()
    path = cityscapes / AACHEN.format(1, "polygons.json")
    content = json.loads(path.read_text())
    content["objects"][0]["label"] = "unicorn"
    path.write_text(json.dumps(content))
    done = run()
    assert done.status == 1
    assert "aachen_000000_000019_gtFine_labelIds.png: label values 34" in done.err
    assert "unicorn" in done.err and path.name in done.err
    assert "train: 1 written" in done.out
