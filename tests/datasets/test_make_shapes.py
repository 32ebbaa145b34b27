"""datasets/make_shapes.py: the same bytes every time, VOC's layout, whole sets only."""

from __future__ import annotations

import json
from pathlib import Path

import make_shapes
import numpy as np
import pytest
from make_shapes import Parameters, ShapesError
from PIL import Image

SMALL = Parameters(height=48, width=64, train=3, val=2, test=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_shapes.make_shapes(tmp_path, SMALL)


def test_a_larger_set_begins_with_the_bytes_of_the_smaller_one(folder, tmp_path):
    large = make_shapes.make_shapes(tmp_path / "b", Parameters(48, 64, 4, 2, 1))
    pictures = [*folder.rglob("*.jpg"), *folder.rglob("*.png")]
    assert len(pictures) == 12
    for picture in pictures:
        assert (large / picture.relative_to(folder)).read_bytes() == picture.read_bytes()


def test_files_hold_what_was_drawn(folder, tmp_path):
    assert (folder / "ImageSets/Segmentation/val.txt").read_text() == "val_00000\nval_00001\n"
    assert list(tmp_path.iterdir()) == [folder]  # nothing temporary is left
    image, label = make_shapes.make_sample(SMALL, "val", 1)
    with Image.open(folder / "SegmentationClass" / "val_00001.png") as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.asarray(picture), label)
        palette = np.array(picture.getpalette()).reshape(-1, 3)
    # VOC's: 1 dark red, 2 dark green, 3 their sum, void a light beige.
    known = [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [224, 224, 192]]
    np.testing.assert_array_equal(palette[[0, 1, 2, 3, 255]], known)
    with Image.open(folder / "JPEGImages" / "val_00001.jpg") as picture:
        assert np.abs(np.asarray(picture).astype(int) - image).mean() < 4


def test_the_same_set_is_left_alone_and_another_is_replaced_by_force_only(folder, tmp_path):
    stamp = (folder / "dataset.json").stat().st_mtime_ns
    assert make_shapes.make_shapes(tmp_path, SMALL) == folder
    other = Parameters(48, 64, train=3, val=2, test=1, seed=7)
    with pytest.raises(ShapesError, match="--force"):
        make_shapes.make_shapes(tmp_path, other)
    assert (folder / "dataset.json").stat().st_mtime_ns == stamp
    make_shapes.make_shapes(tmp_path, other, force=True)
    assert json.loads((folder / "dataset.json").read_text())["parameters"]["seed"] == 7
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("content", [None, '{"dataset": "other"}', '{"data', "[1]"])
def test_a_foreign_folder_is_never_touched(tmp_path, content):
    (tmp_path / "shapes").mkdir()
    (tmp_path / "shapes" / "precious.txt").write_text("mine")
    if content is not None:
        (tmp_path / "shapes" / "dataset.json").write_text(content)
    with pytest.raises(ShapesError, match="not made by this script"):
        make_shapes.make_shapes(tmp_path, SMALL, force=True)
    assert (tmp_path / "shapes" / "precious.txt").read_text() == "mine"


def test_an_interrupted_replacement_leaves_the_old_set(folder, tmp_path, monkeypatch, tree):
    old = tree(tmp_path)
    draw = make_shapes.make_sample

    def interrupted(parameters, split, index):
        if split == "val":
            raise KeyboardInterrupt
        return draw(parameters, split, index)

    monkeypatch.setattr(make_shapes, "make_sample", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_shapes.make_shapes(tmp_path, Parameters(48, 64, 3, 2, 1, seed=1), force=True)
    assert tree(tmp_path) == old


def test_the_command(tmp_path, capsys):
    """As a user types it; then with a mistake, which is one line."""
    sizes = ["--height", "48", "--width", "64", "--train", "1", "--val", "1", "--test", "0"]
    command = ["--root", str(tmp_path), *sizes]
    assert make_shapes.main(command) == 0
    made = f"shapes: 1 train, 1 val, 0 test images of 48x64 in {tmp_path / 'shapes'}\n"
    assert capsys.readouterr() == (made, "")
    assert make_shapes.main([*command, "--seed", "3", "--train", "2"]) == 1
    assert capsys.readouterr().err == (
        f"make_shapes: {tmp_path / 'shapes'} holds another set, train 1 instead of 2, "
        "seed 0 instead of 3; pass --force to replace it, or another --root\n"
    )
