"""auto_seg_loss.data.folder: any folder as a data set, its classes, its parts."""

from __future__ import annotations

import re

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from trees import write_image, write_label, write_list

from auto_seg_loss.data.catalog import unregister
from auto_seg_loss.runtime.configs import load_config
from auto_seg_loss.runtime.errors import ConfigError

PARTS = ("train", "holdout", "test")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder of data sets; what a test registers as `folder` is forgotten after it."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    yield tmp_path
    for part in PARTS:
        unregister(f"folder_sem_seg_{part}")


@pytest.fixture
def make(root):
    """``make({"a": values, ...})``: <root>/d with images of 4x4 and labels of these values."""

    def fill(labels, image="{}.jpg", label="{}.png"):
        for name, values in labels.items():
            write_image(root / "d/images" / image.format(name), (4, 4))
            pixels = np.resize(np.array(values, dtype=np.uint8), (4, 4))
            write_label(root / "d/labels" / label.format(name), pixels)

    return fill


def same(names):
    return {name: [0] for name in names}


def load(**keys):
    node = {"IMAGES": "d/images", "LABELS": "d/labels"} | keys
    options = [x for key, value in node.items() for x in (f"DATASETS.FOLDER.{key}", str(value))]
    return load_config("", options)


def names(part, name="folder"):
    return [item["image_id"] for item in DatasetCatalog.get(f"{name}_sem_seg_{part}")]


def classes():
    return MetadataCatalog.get("folder_sem_seg_train").stuff_classes


def lists(root, **parts):
    for part, rows in parts.items():
        write_list(root / f"d/{part}.txt", rows)
    return {part.upper(): f"d/{part}.txt" for part in parts}


def test_lists_are_the_parts_in_their_order(root, make):
    make(same("abcde"))
    load(**lists(root, train="ca", holdout=["b.jpg"], test="de"))
    assert [names(part) for part in PARTS] == [["c", "a"], ["b"], ["d", "e"]]
    (item,) = DatasetCatalog.get("folder_sem_seg_holdout")
    assert item["file_name"] == str(root / "d/images/b.jpg")
    assert item["sem_seg_file_name"] == str(root / "d/labels/b.png")


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("labels/classes.txt", ["road", "wide sky"]),
        ("images/classes.txt", ["road", "wide sky"]),
        ("other.txt", ["0", "1", "2"]),
    ],
)
def test_class_names_lie_beside_the_files_or_are_numbers(root, make, place, expected):
    make({"a": [0, 1], "b": [0, 2, 255], "c": [1]})
    (root / "d" / place).write_text("road\r\n wide sky \r\n\r\n")
    load()
    assert classes() == expected
    assert len(MetadataCatalog.get("folder_sem_seg_test").stuff_colors) == len(expected)


def test_a_stray_value_does_not_make_a_hundred_classes(make):
    make({"a": [0, 1], "b": [1, 128], "c": [0]})
    with pytest.raises(ConfigError, match=r"labels are 0, 1, 128, so .* 0\.\.128 never"):
        load()
    rows = "[[0, 0, 0, 0], [1, 1, 1, 1], [128, 128, 128, 2]]"
    with pytest.raises(ConfigError, match=re.escape(rows)):
        load()
    load(VOID=128)
    assert classes() == ["0", "1"]


def test_coloured_labels_get_a_palette_to_fill_in(root, make):
    make(same("ab"))
    red = np.zeros((4, 4, 3), np.uint8)
    red[0, :3] = 255, 0, 0
    write_label(root / "d/labels/b.png", red)
    words = '"[[0, 0, 0, 0], [255, 0, 0, 1]]" (shares of the pixels: 90.6 %, 9.38 %)'
    with pytest.raises(ConfigError, match=re.escape(words)):
        load()


def test_labels_that_may_have_lost_values_are_refused(make):
    make(same("ab"), label="{}.jpg")
    with pytest.raises(FileNotFoundError, match=r"no .* files in .*lossless format.* as PNG"):
        load()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"IMAGES": "nowhere"}, r"IMAGES 'nowhere' must be a directory: absolute, or in /"),
        ({"LABELS": "''"}, "LABELS '' must be a directory"),
        ({"CLASSES": "['a', 'b', 'a']"}, "unique, got twice: a"),
        ({"TRAIN": "d/none.txt", "CLASSES": "['a']"}, "d/none.txt"),
        ({"HOLDOUT_SHARE": 0.8}, "needs a share above 0"),
        ({"GROUPS": "(a|b)"}, "finds no group in 1 names"),
    ],
)
def test_what_cannot_be_used_is_told(make, keys, words):
    make(same("abc"))
    with pytest.raises((OSError, ValueError), match=words):
        load(**keys)
        names("train")


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (("19_{}_mask.png", "19_{}_ids.png"), "several labels, which end in _ids, _mask; put"),
        (("20_{}.png",), "numbers in what all names begin or end with must be equal"),
    ],
)
def test_why_no_image_has_a_label_is_told(make, labels, words):
    for label in labels:
        make(same("abc"), image="19_{}.jpg", label=label)
    with pytest.raises(FileNotFoundError, match=words):
        load()


def test_different_names_are_shown(make, caplog):
    make(same("abc"), label="{}_mask.png")
    load()
    (line,) = [r.message for r in caplog.records if "names differ" in r.message]
    assert line.startswith("names differ: paired as /") and line.endswith("labels/a_mask.png")


def test_a_name_stands_for_one_set(make):
    make(same("abc"))
    load()
    load()
    with pytest.raises(ConfigError, match=r"NAME 'folder' and other keys.* own .*NAME"):
        load(SEED=1)
    try:
        load(SEED=1, NAME="other")
        assert sorted(names("train") + names("test")) != names("holdout", "other")
    finally:
        for part in PARTS:
            unregister(f"other_sem_seg_{part}")


ALL = [f"{film}_{frame}" for film in "pqrstuvwxy" for frame in range(2)]


@pytest.mark.parametrize(
    ("listed", "sizes"),
    [
        ({}, (12, 4, 4)),
        ({"train": ALL[:10]}, (6, 2, 2)),  # what no list names is not used
        ({"test": ALL[10:]}, (8, 2, 10)),
        ({"holdout": ALL[:2], "test": ALL[10:]}, (8, 2, 10)),
    ],
)
@pytest.mark.parametrize("groups", ["", "(.)_"])
def test_parts_without_a_list_are_cut(root, make, listed, sizes, groups):
    make(same(ALL))
    load(GROUPS=groups, **lists(root, **listed))
    parts = {part: names(part) for part in PARTS}
    assert tuple(map(len, parts.values())) == sizes
    together = [name for part in parts.values() for name in part]
    assert len(set(together)) == len(together)
    if groups:
        films = [{name[0] for name in part} for part in parts.values()]
        assert sum(map(len, films)) == len(set.union(*films))


def test_a_listed_image_is_known_under_any_path(root, make, monkeypatch):
    make(same(ALL))
    link = root.with_name(root.name + "-link")
    link.symlink_to(root)
    monkeypatch.setenv("DETECTRON2_DATASETS", str(link))
    rows = [f"{root}/d/images/{name}.jpg {root}/d/labels/{name}.png" for name in ALL[10:]]
    load(**lists(root, test=rows))
    assert [len(names(part)) for part in PARTS] == [8, 2, 10]
    assert not set(names("test")) & set(names("train") + names("holdout"))


def test_a_listed_name_may_end_like_two_files(root, make):
    make(same(["a.jpg", "b.jpg", "c.jpg"]))
    load(**lists(root, train=["a.jpg.jpg"], holdout=["b.jpg.jpg"], test=["c.jpg.jpg"]))
    (item,) = DatasetCatalog.get("folder_sem_seg_train")
    assert item["sem_seg_file_name"] == str(root / "d/labels/a.jpg.png")


def test_lists_that_share_a_group_are_refused(root, make):
    make(same(ALL))
    load(GROUPS="(.)_", **lists(root, train=["p_0", "q_0"], holdout=["q_1"], test=["r_0"]))
    with pytest.raises(ValueError, match=r"lists of train and holdout share groups.*: q"):
        names("test")
