"""datasets/make_shapes.py: the same bytes every time, VOC's layout, whole sets only."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).parents[2] / "datasets" / "make_shapes.py"
spec = importlib.util.spec_from_file_location("make_shapes", SCRIPT)
assert spec is not None and spec.loader is not None
make_shapes = importlib.util.module_from_spec(spec)
sys.modules["make_shapes"] = make_shapes
spec.loader.exec_module(make_shapes)

Parameters, ShapesError = make_shapes.Parameters, make_shapes.ShapesError
SMALL = Parameters(height=48, width=64, train=3, val=2, test=1)


def tree(folder: Path) -> dict[str, str]:
    """Relative path to digest, of every file."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def samples():
    """120 images and labels of the default set, drawn once."""
    return [make_shapes.make_sample(Parameters(), "train", i) for i in range(120)]


def test_two_runs_write_the_same_bytes(tmp_path):
    first = make_shapes.make_shapes(tmp_path / "a", SMALL)
    second = make_shapes.make_shapes(tmp_path / "b", SMALL)
    assert tree(first) == tree(second)


def test_pixels_have_not_changed():
    # Made with VERSION 1. When a pixel changes on purpose, raise VERSION and renew the digests.
    image, label = make_shapes.make_sample(Parameters(), "train", 0)
    assert make_shapes.VERSION == 1
    assert hashlib.sha256(image.tobytes()).hexdigest()[:16] == "8cbaabad7edaac75"
    assert hashlib.sha256(label.tobytes()).hexdigest()[:16] == "64e8a18a17b42690"


def test_layout_is_that_of_voc(tmp_path):
    folder = make_shapes.make_shapes(tmp_path, SMALL)
    names = {"train": ["train_00000", "train_00001", "train_00002"]}
    names |= {"val": ["val_00000", "val_00001"], "test": ["test_00000"]}
    for split, stems in names.items():
        assert (folder / f"ImageSets/Segmentation/{split}.txt").read_text().split() == stems
    everything = [stem for stems in names.values() for stem in stems]
    assert sorted(p.stem for p in (folder / "JPEGImages").iterdir()) == sorted(everything)
    assert sorted(p.stem for p in (folder / "SegmentationClass").iterdir()) == sorted(everything)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["shapes"]  # nothing temporary is left


def test_files_hold_what_was_drawn(tmp_path):
    folder = make_shapes.make_shapes(tmp_path, SMALL)
    image, label = make_shapes.make_sample(SMALL, "val", 1)
    with Image.open(folder / "SegmentationClass" / "val_00001.png") as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.asarray(picture), label)
        # VOC's palette: 1 dark red, 2 dark green, 3 their sum, void a light beige.
        palette = np.array(picture.getpalette()).reshape(-1, 3)
    np.testing.assert_array_equal(
        palette[[0, 1, 2, 3, 255]],
        [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [224, 224, 192]],
    )
    with Image.open(folder / "JPEGImages" / "val_00001.jpg") as picture:
        decoded = np.asarray(picture).astype(int)
    assert decoded.shape == (48, 64, 3)
    assert np.abs(decoded - image).mean() < 4


def test_a_larger_set_begins_with_the_smaller_one(tmp_path):
    small = tree(make_shapes.make_shapes(tmp_path / "a", SMALL))
    large = tree(
        make_shapes.make_shapes(tmp_path / "b", Parameters(48, 64, train=4, val=2, test=1))
    )
    pictures = {name for name in small if name.endswith((".jpg", ".png"))}
    assert {name: large[name] for name in pictures} == {name: small[name] for name in pictures}


def test_splits_seeds_and_images_differ():
    drawn = [
        make_shapes.make_sample(Parameters(48, 64, seed=seed), split, index)[0].tobytes()
        for seed in (0, 1)
        for split in ("train", "val", "test")
        for index in (0, 1)
    ]
    assert len(set(drawn)) == len(drawn)


def test_labels_are_classes_or_void(samples):
    values = set(np.unique(np.stack([label for _, label in samples])).tolist())
    assert values == {*range(7), 255}
    assert len(make_shapes.CLASSES) == 7
    assert all(image.dtype == label.dtype == np.uint8 for image, label in samples)


def test_frequencies_differ_by_orders_of_magnitude(samples):
    labels = np.stack([label for _, label in samples])
    share = np.bincount(labels.ravel(), minlength=256) / labels.size
    assert 0.7 < share[0] < 0.9  # background
    assert share[1] > 0.04 and share[2] > 0.04  # large and common
    assert 0.002 < share[5] < 0.02  # tiny
    assert share[6] < 0.006  # rare and small
    assert 0.01 < share[255] < 0.05
    present = (labels == 6).any((1, 2)).mean()
    assert 0.08 < present < 0.2


def test_bars_are_thin(samples):
    # No 5x5 window lies in bars, but for the places where two of them cross.
    bars = np.stack([label == 4 for _, label in samples])
    windows = np.lib.stride_tricks.sliding_window_view(bars, (5, 5), axis=(1, 2))
    assert bars.sum() > 1000
    assert windows.all((-1, -2)).sum() < 0.002 * bars.sum()


def test_some_objects_have_void_rims_and_some_have_not(samples):
    def next_to_background(value):
        labels = np.stack([label for _, label in samples])
        left, right = labels[:, :, :-1], labels[:, :, 1:]
        return int(((left == 0) & (right == value)).sum())

    assert next_to_background(255) > 500
    assert next_to_background(1) > 500


def test_the_same_set_is_left_alone(tmp_path):
    folder = make_shapes.make_shapes(tmp_path, SMALL)
    stamp = (folder / "dataset.json").stat().st_mtime_ns
    assert make_shapes.make_shapes(tmp_path, SMALL) == folder
    assert (folder / "dataset.json").stat().st_mtime_ns == stamp


def test_another_set_is_refused_and_replaced_by_force(tmp_path):
    folder = make_shapes.make_shapes(tmp_path, SMALL)
    other = Parameters(48, 64, train=3, val=2, test=1, seed=7)
    with pytest.raises(ShapesError, match=r"different set \(parameters: .*'seed': 0.*--force"):
        make_shapes.make_shapes(tmp_path, other)
    make_shapes.make_shapes(tmp_path, other, force=True)
    assert json.loads((folder / "dataset.json").read_text())["parameters"]["seed"] == 7
    assert sorted(p.name for p in tmp_path.iterdir()) == ["shapes"]


def test_a_damaged_set_is_noticed_and_mended_by_force(tmp_path):
    folder = make_shapes.make_shapes(tmp_path, SMALL)
    whole = tree(folder)
    (folder / "JPEGImages" / "train_00001.jpg").unlink()
    with pytest.raises(ShapesError, match=r"lacks 1 of its files, .*train_00001.jpg"):
        make_shapes.make_shapes(tmp_path, SMALL)
    make_shapes.make_shapes(tmp_path, SMALL, force=True)
    assert tree(folder) == whole


@pytest.mark.parametrize("content", [None, "not json", "[1]", '{"dataset": "other"}'])
def test_a_foreign_folder_is_never_touched(tmp_path, content):
    (tmp_path / "shapes").mkdir()
    (tmp_path / "shapes" / "precious.txt").write_text("mine")
    if content is not None:
        (tmp_path / "shapes" / "dataset.json").write_text(content)
    with pytest.raises(ShapesError, match="no set made by this script"):
        make_shapes.make_shapes(tmp_path, SMALL, force=True)
    assert (tmp_path / "shapes" / "precious.txt").read_text() == "mine"


def test_an_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    draw = make_shapes.make_sample

    def interrupted(parameters, split, index):
        if split == "val":
            raise KeyboardInterrupt
        return draw(parameters, split, index)

    monkeypatch.setattr(make_shapes, "make_sample", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_shapes.make_shapes(tmp_path, SMALL)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_replacement_leaves_the_old_set(tmp_path, monkeypatch):
    folder = make_shapes.make_shapes(tmp_path, SMALL)
    old = tree(folder)

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr(make_shapes, "make_sample", broken)
    with pytest.raises(OSError, match="disk full"):
        make_shapes.make_shapes(tmp_path, Parameters(48, 64, seed=1), force=True)
    assert tree(folder) == old


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"height": 10}, "at least 48 px high and wide, got 10x128"),
        ({"train": -1}, "train must be 0 or more images, got -1"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
    ],
)
def test_bad_parameters(arguments, words):
    with pytest.raises(ValueError, match=words):
        Parameters(**arguments)


def test_command_line(tmp_path):
    command = [sys.executable, str(SCRIPT), "--root", str(tmp_path), "--height", "48"]
    command += ["--width", "64", "--train", "1", "--val", "1", "--test", "0"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == (
        f"shapes: 1 train, 1 val, 0 test images of 48x64 in {tmp_path / 'shapes'}"
    )
    again = subprocess.run([*command, "--seed", "3"], capture_output=True, text=True)
    assert again.returncode == 1
    assert again.stderr.startswith("make_shapes: ") and "--force" in again.stderr
    assert "Traceback" not in again.stderr


def test_root_defaults_to_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    arguments = ["--height", "48", "--width", "64", "--train", "1", "--val", "0", "--test", "0"]
    assert make_shapes.main(arguments) == 0
    assert (tmp_path / "shapes" / "dataset.json").is_file()
