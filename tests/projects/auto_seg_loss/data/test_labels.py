"""auto_seg_loss.data.labels: palette indices, grey levels, and void in one value."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from trees import write_label

from auto_seg_loss.data import read_label
from auto_seg_loss.data.labels import LabelError, read_values

INDICES = np.array([[0, 1, 2], [2, 1, 3]], dtype=np.uint8)


def test_palette_files_give_indices_not_brightness(tmp_path):
    write_label(tmp_path / "a.png", INDICES, palette=True)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.mode == "P" and np.asarray(picture.convert("L"))[0, 1] > 3
    label = read_label(tmp_path / "a.png", num_classes=3, ignore_label=3)
    np.testing.assert_array_equal(label, [[0, 1, 2], [2, 1, 255]])
    assert label.dtype == np.uint8


@pytest.mark.parametrize(
    ("values", "ignore", "expected"),
    [
        (np.uint16([[0, 2, 65535]]), 65535, [[0, 2, 255]]),
        (np.array([[False, True]]), 255, [[0, 1]]),
    ],
)
def test_files_of_16_bits_and_of_one(tmp_path, values, ignore, expected):
    Image.fromarray(values).save(tmp_path / "a.png")
    label = read_label(tmp_path / "a.png", num_classes=3, ignore_label=ignore)
    assert label.tolist() == expected and label.dtype == np.uint8


@pytest.mark.parametrize("value", [3, 255])
def test_a_value_that_is_neither_class_nor_void(tmp_path, value):
    Image.fromarray(np.array([[0, value]], dtype=np.uint8)).save(tmp_path / "odd.png")
    with pytest.raises(ValueError, match=rf"odd\.png: .*values {value} "):
        read_label(tmp_path / "odd.png", num_classes=3, ignore_label=11)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_equal_channels_are_an_index_map(tmp_path, mode):
    Image.fromarray(INDICES).convert(mode).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_values(tmp_path / "grey.png"), INDICES)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colour_files_are_refused(tmp_path, mode):
    Image.new(mode, (2, 2), (1, 1, 2)).save(tmp_path / "colour.png")
    with pytest.raises(ValueError, match=r"colour\.png: .*LABEL_PALETTE"):
        read_label(tmp_path / "colour.png", num_classes=3, ignore_label=255)


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP", "TIFF"])
def test_lossy_formats_are_known_by_their_bytes(tmp_path, file_format):
    Image.fromarray(INDICES).save(tmp_path / "a.png", file_format, compression="jpeg")
    for palette in (), [[0, 0, 0, 0]]:
        with pytest.raises(ValueError, match=rf"a\.png: .*{file_format}"):
            read_label(tmp_path / "a.png", num_classes=4, ignore_label=255, palette=palette)


PALETTE = [[0, 0, 0, 0], [128, 0, 0, 1], [0, 128, 0, 2], [192, 0, 0, 2], [255, 255, 255, 9]]
COLOURS = [[[0, 0, 0], [128, 0, 0], [0, 128, 0]], [[192, 0, 0], [255, 255, 255], [0, 0, 0]]]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_palette_gives_colours_a_meaning(tmp_path, mode):
    picture = Image.fromarray(np.array(COLOURS, dtype=np.uint8)).convert("RGB")
    # A palette file whose indices mean nothing, as tools that shrink PNGs write them.
    picture = picture.quantize(8) if mode == "P" else picture.convert(mode)
    picture.save(tmp_path / "a.png")
    label = read_label(tmp_path / "a.png", num_classes=3, ignore_label=9, palette=PALETTE)
    assert (label.tolist(), label.dtype) == ([[0, 1, 2], [2, 255, 0]], np.uint8)


def test_colours_that_a_palette_lacks_are_named(tmp_path):
    Image.fromarray(np.array(COLOURS, dtype=np.uint8)).save(tmp_path / "a.png")
    words = r"a\.png: colours \(0, 128, 0\), \(255, 255, 255\) are not in INPUT\.LABEL_PALETTE"
    palette = [row for row in PALETTE if row[1] == 0]
    with pytest.raises(ValueError, match=words):
        read_label(tmp_path / "a.png", num_classes=3, ignore_label=255, palette=palette)


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        read_label(tmp_path / "none.png", num_classes=3, ignore_label=255)
    Image.effect_noise((64, 64), 50).save(tmp_path / "cut.png")
    whole = (tmp_path / "cut.png").read_bytes()
    for content in (b"no picture", whole[: len(whole) // 2]):
        (tmp_path / "cut.png").write_bytes(content)
        with pytest.raises(OSError, match=r"cannot read label .*cut\.png"):
            read_label(tmp_path / "cut.png", num_classes=3, ignore_label=255)


def test_a_mask_in_alpha_is_no_index_map(tmp_path):
    alpha = np.array([[0, 255]], np.uint8)
    levels = np.zeros((1, 2, 3), np.uint8)
    for values, name in ((alpha, "mask.png"), (np.full_like(alpha, 255), "whole.png")):
        Image.fromarray(np.dstack([levels, values])).save(tmp_path / name)
    assert read_values(tmp_path / "whole.png").tolist() == [[0, 0]]
    with pytest.raises(LabelError, match="mode RGBA"):
        read_values(tmp_path / "mask.png")
