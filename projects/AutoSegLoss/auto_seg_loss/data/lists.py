"""Lists of images: text files with one row per image, in the usual formats."""

from __future__ import annotations

import codecs
import re
from collections.abc import Container
from pathlib import Path, PurePosixPath
from typing import NamedTuple

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
LABEL_SUFFIXES = (".bmp", ".gif", ".png", ".tif", ".tiff")  # lossless ones
_IMAGE, _LABEL = ("|".join(map(re.escape, some)) for some in (IMAGE_SUFFIXES, LABEL_SUFFIXES))
# Two files in a row: the suffixes tell where the first ends, so names may have spaces.
_TWO_FILES = re.compile(rf"(\S.*?(?:{_IMAGE}))\s*[\s,;]\s*(\S.*(?:{_LABEL}))", re.I)
_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class ListError(ValueError):
    """A list that is invalid or ambiguous; the message names file and line."""


class Row(NamedTuple):
    """An image as named in a list, "x", "x.jpg" or "/JPEGImages/x.jpg"; label: likewise, or ""."""

    image: str
    label: str = ""


def read_rows(path: Path, known: Container[str]) -> list[Row]:
    """The rows of a list, in its order.

    UTF-8 or UTF-16, any line endings; blank lines are skipped. A row is an image's name, with or
    without folder and suffix, or an image and its label (x.jpg x.png), separated by blanks, a
    comma or a semicolon. known: keys of existing images (see pairing.py), to distinguish a name
    with spaces from two columns.

    ``ListError``: a row that is none of these, an image that is listed twice, no row at all, or
    bytes that are not text.
    """
    rows: dict[str, Row] = {}
    for number, line in enumerate(read_text(path).split("\n"), 1):
        text, where = line.strip().replace("\\", "/"), f"{path.absolute()}, line {number}"
        if not text:
            continue
        row = _row(text, known)
        if row is None:
            raise ListError(
                f"{where}: {text!r} is neither a known image nor two files. A line must be the "
                "name of an image (x or x.jpg), or an image and its label (x.jpg x.png, or "
                "/JPEGImages/x.jpg /SegmentationClass/x.png)"
            )
        key = row.image if "/" in row.image else stem_of(row.image)
        if key in rows:
            raise ListError(f"{where}: {key} is listed twice")
        rows[key] = row
    if not rows:
        raise ListError(f"{path.absolute()} lists no images")
    return list(rows.values())


def stem_of(name: str) -> str:
    """ "x" of "x", "x.JPG" or "/JPEGImages/x.jpg"; a suffix of no picture stays."""
    path = PurePosixPath(name)
    suffixes = (*IMAGE_SUFFIXES, *LABEL_SUFFIXES)
    return path.stem if path.suffix.lower() in suffixes else path.name


def key_of(name: str) -> str:
    """ "city/x" of "city/x.jpg": `stem_of` with the folders."""
    return str(PurePosixPath(name).parent / stem_of(name))


def _row(text: str, known: Container[str]) -> Row | None:
    if key_of(text) in known:
        return Row(text)
    if two := _TWO_FILES.fullmatch(text):
        return Row(*two.groups())
    return Row(text) if stem_of(text) in known or len(text.split()) == 1 else None


def read_lines(path: Path) -> list[str]:
    """The stripped lines that are not blank; errors as of ``read_text``."""
    return [line.strip() for line in read_text(path).split("\n") if line.strip()]


def read_text(path: Path) -> str:
    """UTF-8, or UTF-16 with its mark, with "\\n" at the end of each line; ``ListError`` for
    other bytes."""
    mark = path.read_bytes()[:2]
    try:
        text = path.read_text("utf-16" if mark in _MARKS else "utf-8-sig")
        if "\0" in text:
            raise UnicodeError("a null character")
    except UnicodeError as error:
        raise ListError(
            f"{path.absolute()} is neither UTF-8 nor UTF-16 with a byte order mark ({error}); save "
            "the list as UTF-8"
        ) from None
    return text
