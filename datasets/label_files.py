"""Label files as the package reads them; written with 8 bits a pixel, as a whole or not at all.

Letters: H, W size of a label in pixels; C number of classes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from make_shapes import load_source, voc_colour_map
from PIL import Image

VOID = 255
DATA = "projects/AutoSegLoss/auto_seg_loss/data"
labels, lists = load_source(f"{DATA}/labels.py"), load_source(f"{DATA}/lists.py")


def read_indices(path: Path, classes: int = 256) -> np.ndarray:
    """The indices of a label file, (H, W) uint8: 0..C-1 or 255.

    Raises:
        ValueError: colours, a lossy format, or a value that is neither a class nor 255.
    """
    label: np.ndarray = labels.read_values(path)
    check_values(label, classes)
    return label.astype(np.uint8)


def write_label(path: Path, label: np.ndarray, palette: bool) -> None:
    """Writes (H, W) uint8 as PNG, under a temporary name first; makes the folder."""
    picture = Image.fromarray(label)
    if palette:
        picture.putpalette(voc_colour_map().tobytes())  # the indices stay
    write_whole(path, lambda partial: picture.save(partial, format="PNG"))


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Calls `write` with a temporary name beside `path` and renames: a whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def holds(path: Path, label: np.ndarray, palette: bool) -> bool:
    """Whether the file is there, readable, of the right kind, and equal to the label."""
    try:
        with Image.open(path) as picture:
            kind_is_right = picture.mode == ("P" if palette else "L")
            return kind_is_right and np.array_equal(np.asarray(picture), label)
    except (OSError, SyntaxError, ValueError):  # missing or damaged
        return False


def check_values(label: np.ndarray, classes: int) -> None:
    """Raises ValueError unless all values are classes 0..C-1 or 255."""
    if words := labels.unfit_values(np.unique(label).tolist(), classes, VOID):
        raise ValueError(words)
