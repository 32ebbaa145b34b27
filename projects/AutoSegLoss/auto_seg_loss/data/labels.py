"""Label files to class indices: the only place that knows how labels lie in files.

Letters: H, W size of the label in pixels; C number of classes.
"""

from __future__ import annotations

import os

import numpy as np
from detectron2.utils.file_io import PathManager
from PIL import Image

# What a pixel holds: an index into a palette (P), a level (L, 1), or a 16 bit number (I, I;16).
INDEX_MODES = ("P", "L", "1", "I", "I;16", "I;16B", "I;16L")


class LabelError(ValueError):
    """A label file that does not hold class indices, or holds indices of no class."""


def read_label(
    path: str | os.PathLike[str], *, num_classes: int, ignore_label: int, ignore_value: int = 255
) -> np.ndarray:
    """Reads a label map.

    Palette files give their indices (asking for grey levels, as is often done, would give the
    brightness of the palette's colours), grey files their levels.

    Args:
        path: an image file of one number per pixel, usually PNG.
        num_classes: C; valid classes are 0 .. C-1.
        ignore_label: the value that means "void" in the file, 11 in CamVid and 255 in VOC.
        ignore_value: the value that means "void" in the result, C .. 255.

    Returns:
        (H, W) uint8, values 0 .. C-1 or `ignore_value`.

    Raises:
        LabelError: a colour file, or a value that is neither class nor void.
        ValueError: an unfit `ignore_value`.
        OSError: the file is missing or unreadable.
    """
    check_ignore_value(num_classes, ignore_value)
    raw = _read_indices(path)
    label = raw.astype(np.uint8)
    void = raw == ignore_label
    wrong = (raw < 0) | (raw >= num_classes)
    wrong &= ~void
    if wrong.any():
        values = ", ".join(str(v) for v in np.unique(raw[wrong])[:10])
        raise LabelError(
            f"{os.fspath(path)}: label values {values} are neither a class "
            f"(0..{num_classes - 1}) nor the data set's ignore label ({ignore_label}); "
            "correct the file, the data set's stuff_classes or its ignore_label"
        )
    label[void] = ignore_value
    return label


def check_ignore_value(num_classes: int, ignore_value: int) -> None:
    """Raises ValueError unless `ignore_value` lies outside the classes 0 .. C-1 and fits 8 bits."""
    if not num_classes <= ignore_value <= 255:
        raise ValueError(
            f"the ignore value must lie outside the {num_classes} classes and fit 8 bits, "
            f"{num_classes}..255; got {ignore_value}"
        )


def _read_indices(path: str | os.PathLike[str]) -> np.ndarray:
    try:
        with PathManager.open(os.fspath(path), "rb") as file, Image.open(file) as picture:
            if picture.mode not in INDEX_MODES:
                raise LabelError(
                    f"{os.fspath(path)}: a label file holds one class index per pixel "
                    f"(palette or grey), this one holds colours (mode {picture.mode})"
                )
            return np.asarray(picture)
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError) as error:  # Pillow raises SyntaxError on some broken PNGs
        raise OSError(f"cannot read label {os.fspath(path)}: {error}") from error
