"""Label files to class indices: the only module that knows how files store labels.

Letters: H, W size of the label in pixels; C number of classes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from .catalog import LISTED, some

# Pixel types: an index into a palette (P), a level (L, 1), or a 16-bit number (I, I;16).
INDEX_MODES = ("P", "L", "1", "I", "I;16", "I;16B", "I;16L")
COLOUR_MODES = ("RGB", "RGBA", "LA")  # with R = G = B = index, as some tools save index maps
NO_INDICES = "a label file holds one class index per pixel"
# Formats whose compression may change values: a class index would become a neighbouring one.
LOSSY_FORMATS = ("JPEG", "MPO", "JPEG2000", "WEBP", "AVIF")
REMEDY = (
    "correct the file, the data set's stuff_classes or its ignore_label; for coloured labels, or "
    "masks of 0 and 255, set INPUT.LABEL_PALETTE"
)
Palette = Sequence[Sequence[int]]  # rows [R, G, B, value]


class LabelError(ValueError):
    """A label file that does not hold class indices, or holds unknown ones."""


def read_label(
    path: str | os.PathLike[str],
    *,
    num_classes: int,
    ignore_label: int,
    ignore_value: int = 255,
    palette: Palette = (),
) -> np.ndarray:
    """A label map (H, W) uint8, values 0 .. C-1 or ``ignore_value``.

    num_classes: C. ignore_label: void in the file, 11 in CamVid and 255 in VOC. ignore_value: void
    in the result, C .. 255; ``ValueError`` for others. palette: INPUT.LABEL_PALETTE. Files and
    errors: see ``read_values``; also ``LabelError`` for a value that is neither class nor void.
    """
    check_ignore_value(num_classes, ignore_value)
    raw = read_values(path, palette)
    void = raw == ignore_label
    wrong = ((raw < 0) | (raw >= num_classes)) & ~void
    if wrong.any():
        words = unfit_values(np.unique(raw[wrong]).tolist(), num_classes, ignore_label)
        raise LabelError(f"{os.fspath(path)}: {words}; {REMEDY}")
    label = raw.astype(np.uint8)
    label[void] = ignore_value
    return label


def unfit_values(values: Iterable[int], num_classes: int, ignore_label: int) -> str:
    """A message about label values that are neither a class nor void; "" if there are none."""
    wrong = sorted(v for v in values if not 0 <= v < num_classes and v != ignore_label)
    if not wrong:
        return ""
    return (
        f"label values {some(wrong)} are neither a class (0..{num_classes - 1}) nor the data "
        f"set's ignore label ({ignore_label})"
    )


def check_ignore_value(num_classes: int, ignore_value: int) -> None:
    """Raises ValueError unless `ignore_value` lies outside the classes 0 .. C-1 and fits 8 bits."""
    if not num_classes <= ignore_value <= 255:
        raise ValueError(
            f"the ignore value must lie outside the {num_classes} classes and fit 8 bits, "
            f"{num_classes}..255; got {ignore_value}"
        )


def read_values(path: str | os.PathLike[str], palette: Palette = ()) -> np.ndarray:
    """(H, W) integers: the values of a label file, before classes are checked.

    Without ``palette`` the indices of a palette file (not its grey levels, which would be the
    brightness of its colours), or the levels of a grey file of 8 or 16 bits, or of an RGB file with
    R = G = B. With it every file holds colours, including palette files and grey ones: rows of
    [R, G, B, value] map each colour to a class or the ignore label.

    ``LabelError``: a lossy format, detected from the bytes; colours without ``palette``; a colour
    that ``palette`` lacks. ``ValueError``: an invalid ``palette``. ``OSError``: the file is missing
    or unreadable.
    """
    name, table = os.fspath(path), _table(tuple(tuple(row) for row in palette))
    with named_errors("label", name), Image.open(path) as picture:
        if picture.format in LOSSY_FORMATS or picture.info.get("compression") == "jpeg":  # TIFF's
            raise LabelError(
                f"{name}: a label must have a lossless format such as PNG, but this file is lossy "
                f"({picture.format}), which changes values; export the labels again as PNG"
            )
        if palette:
            return _look_up(name, np.asarray(picture.convert("RGB")), *table)
        if picture.mode in COLOUR_MODES and not _masked(picture):
            values, *others = np.moveaxis(np.asarray(picture.convert("RGB")), 2, 0)
            if all((other == values).all() for other in others):
                return values
        if picture.mode not in INDEX_MODES:
            raise LabelError(
                f"{name}: {NO_INDICES} (palette or grey), but this "
                f"one has mode {picture.mode}; convert it to 8-bit or 16-bit integers, or define "
                'its colours: INPUT.LABEL_PALETTE "[[R, G, B, class], ...]"'
            )
        values = np.asarray(picture)
        return values.astype(np.uint8) if values.dtype == bool else values


def _masked(picture: Image.Image) -> bool:
    """Whether alpha differs between pixels, and so may be the mask itself."""
    alpha = [picture.getchannel("A").getextrema()] if "A" in picture.getbands() else []
    return any(low != high for low, high in alpha)


@contextmanager
def named_errors(kind: str, path: str) -> Iterator[None]:
    """Convert any Pillow error for a damaged file to an OSError that names kind and file."""
    try:
        yield
    except (FileNotFoundError, LabelError):
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "not an image of a known format" if unknown else str(error)
        raise OSError(f"cannot read {kind} {path}: {reason}") from error


def check_palette(palette: Palette) -> None:
    """Raises ValueError unless rows are integers [R, G, B, value] with unique colours.

    R, G, B: 0 .. 255. value: 0 or more, a class or the ignore label.
    """
    for row in palette:
        four = isinstance(row, Sequence) and [type(number) for number in row] == [int] * 4
        if not four or not all(0 <= level <= 255 for level in row[:3]) or row[3] < 0:
            raise ValueError(
                "INPUT.LABEL_PALETTE expects rows [R, G, B, class], colours of 0..255, such as "
                f"[[0, 0, 0, 0], [128, 0, 0, 1]]; got {row!r}"
            )
    colours = [tuple(row[:3]) for row in palette]
    if twice := sorted({colour for colour in colours if colours.count(colour) > 1}):
        raise ValueError(f"INPUT.LABEL_PALETTE gives two meanings to the colour {twice[0]}")


def _look_up(name: str, colours: np.ndarray, codes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(H, W) int64 of (H, W, 3) uint8 colours, with a palette's `_table`."""
    pixels = _codes(colours)
    places = np.searchsorted(codes, pixels)
    known = codes[np.minimum(places, len(codes) - 1)] == pixels
    if not known.all():
        wrong = [tuple(colour) for colour in np.unique(colours[~known], axis=0).tolist()]
        remedy = (
            "add them, with the ignore label for void"
            if len(wrong) <= LISTED
            else "if they come from smooth edges (antialiasing) or scaling with interpolation, "
            "export the labels without"
        )
        raise LabelError(f"{name}: colours {some(wrong)} are not in INPUT.LABEL_PALETTE; {remedy}")
    return values[places]


@cache
def _table(palette: tuple[tuple[int, ...], ...]) -> tuple[np.ndarray, np.ndarray]:
    """Colours as sorted numbers, and the value of each."""
    check_palette(palette)
    rows = np.array(palette).reshape(-1, 4)
    codes = _codes(rows[:, :3])
    order = np.argsort(codes)
    return codes[order], rows[order, 3]


def _codes(colours: np.ndarray) -> np.ndarray[Any, Any]:
    """(...) int32, one number for each colour of (..., 3)."""
    red, green, blue = np.moveaxis(colours.astype(np.int32), -1, 0)
    return red << 16 | green << 8 | blue
