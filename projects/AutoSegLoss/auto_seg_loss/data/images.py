"""Image files to pixels: 8 bits as Detectron2 reads them, 16 bits scaled, anything else refused.

Detectron2 itself clips all levels above 255 of a 16-bit grey image, which makes it white, and reads
float images as black.

Letters: H, W size of the image in pixels.
"""

from __future__ import annotations

import os
from functools import cache

import numpy as np
from detectron2.data import detection_utils
from detectron2.utils.file_io import PathManager
from PIL import Image, ImageOps

from .labels import named_errors

ORIENTATION = 0x0112  # EXIF tag; 5 to 8 rotate the image by 90 degrees
TAILS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}  # how a complete file ends
WIDE_FORMATS = ("PNG", "PPM")  # mode I is 16 bits in these, 32 bits in others


def read_image(path: str, channels: str) -> np.ndarray:
    """An image, rotated as its EXIF tag says: (H, W, 3) uint8 for the channels "BGR" and "RGB".

    8 bits per channel are unchanged. Of 16 bits the upper 8 are used: level // 256, whatever
    the image holds, so that images remain comparable. (Pillow does so with 16-bit colours.)
    channels: "BGR" or a mode of Pillow, as in detection_utils.read_image.

    ``OSError``: a file that is missing, unreadable, or has floats or 32 bits, whose range is
    unknown.
    """
    with named_errors("image", path), PathManager.open(path, "rb") as file:
        with Image.open(file) as picture:
            _check_levels(picture)
            if picture.mode.startswith("I"):
                upright = np.asarray(ImageOps.exif_transpose(picture))
                grey = Image.fromarray((upright >> 8).astype(np.uint8))
                return np.asarray(detection_utils.convert_PIL_to_numpy(grey, channels))
        return np.asarray(detection_utils.read_image(path, format=channels))


def check_image(path: str) -> tuple[int, int]:
    """(H, W) of an image as `read_image` returns it; raises as that does.

    Only the header and the file's end are read; a file with an unusual end is decoded to be sure.
    """
    with named_errors("image", path), Image.open(path) as picture:
        _check_levels(picture)
        if not _ends_well(path, picture.format):
            picture.load()  # raises if data is missing; bytes after the end are harmless
        return upright_size(picture)


@cache
def image_size(path: str) -> tuple[int, int]:
    """The same once in a process: a search asks for it in each of its trainings."""
    return check_image(path)


def _check_levels(picture: Image.Image) -> None:
    wide = picture.mode == "I" and picture.format not in WIDE_FORMATS
    if picture.mode == "F" or wide:
        kind = "floats" if picture.mode == "F" else "32 bit integers"
        raise OSError(
            f"expected levels of 8 or 16 bits, got {kind}, whose range is unknown; convert the "
            "images to 8 bits, all by the same scale"
        )


def upright_size(picture: Image.Image) -> tuple[int, int]:
    """(H, W) of an open file, rotated as its EXIF tag says."""
    width, height = picture.size
    try:
        turned = picture.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
    except Exception:  # as Detectron2 does: an image with a damaged tag is not rotated
        turned = False
    return (width, height) if turned else (height, width)


def _ends_well(path: str, file_format: str | None) -> bool:
    tail = TAILS.get(file_format or "", b"")
    with open(path, "rb") as file:
        file.seek(-min(len(tail), os.path.getsize(path)), os.SEEK_END)
        return bool(tail) and file.read() == tail
