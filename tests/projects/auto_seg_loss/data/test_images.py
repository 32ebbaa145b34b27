"""auto_seg_loss.data.images: 8 and 16 bits in one scale, unknown ranges refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from auto_seg_loss.data import read_image
from auto_seg_loss.data.images import check_image

LEVELS = np.array([[0, 255, 256], [4095, 32768, 65535]], dtype=np.uint16)
UPPER = [[0, 0, 1], [15, 128, 255]]  # LEVELS // 256


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_of_16_bit_grey_the_upper_8_are_taken(tmp_path, suffix):
    path = str(tmp_path / f"a.{suffix}")
    assert cv2.imwrite(path, LEVELS)
    image = read_image(path, "BGR")
    assert (image.shape, image.dtype) == ((2, 3, 3), np.uint8)
    assert all(image[:, :, channel].tolist() == UPPER for channel in range(3))
    assert check_image(path) == (2, 3)


@pytest.mark.parametrize("kind", ["float32", "int32"])
@pytest.mark.parametrize("read", [lambda path: read_image(path, "RGB"), check_image])
def test_levels_of_unknown_range_are_refused(tmp_path, kind, read):
    Image.fromarray(LEVELS.astype(kind)).save(tmp_path / "a.tif")
    words = r"cannot read image .*a\.tif: expected levels of 8 or 16 bits, got (floats|32 bit)"
    with pytest.raises(OSError, match=words):
        read(str(tmp_path / "a.tif"))


def test_a_turned_16_bit_image_is_read_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(LEVELS).save(tmp_path / "a.png", exif=exif)
    path = str(tmp_path / "a.png")
    assert check_image(path) == read_image(path, "RGB").shape[:2] == (3, 2)
