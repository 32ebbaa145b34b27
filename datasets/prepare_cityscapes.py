#!/usr/bin/env python3
"""Makes the training labels of Cityscapes' fine annotations, with the library cityscapesscripts.

    python datasets/prepare_cityscapes.py [--root datasets] [--workers N] [--partial]

    cityscapes/gtFine/{train,val}/<city>/*_gtFine_labelIds.png        read, or where it is missing
    cityscapes/gtFine/{train,val}/<city>/*_gtFine_polygons.json       drawn
    cityscapes/gtFine/{train,val}/<city>/*_gtFine_labelTrainIds.png   written: 0..18 and 255

labelIds come first because they are the official pixels: versions of Pillow draw the borders of
polygons differently. Files that are right already are kept, so it may be run again at any time.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from threading import Lock

import numpy as np
from label_files import read_indices
from preparation import (
    Job,
    PreparationError,
    Report,
    dataset_folder,
    files_by_key,
    make_labels,
    run_script,
    script_parser,
)

FOLDER = "cityscapes"
CLASSES = 19
COUNTS = {"train": 2975, "val": 500}
IMAGE_END = "_leftImg8bit.png"
IDS_END, POLYGONS_END = "_gtFine_labelIds.png", "_gtFine_polygons.json"
TARGET_END = "_gtFine_labelTrainIds.png"


def label_from_ids(path: Path) -> np.ndarray:
    """(H, W) uint8 training ids of a file of label ids, by the library's table.

    Raises:
        ValueError: ids that the table does not have.
    """
    ids, table = read_indices(path), _training_ids()
    label = table[ids]
    if (label < 0).any():
        raise ValueError(f"label ids {np.unique(ids[label < 0])[:10].tolist()} are unknown")
    return label.astype(np.uint8)


@cache
def _training_ids() -> np.ndarray:
    """(256,) int16: label id -> training id; -1 for what is no id."""
    from cityscapesscripts.helpers.labels import labels

    table = np.full(256, -1, dtype=np.int16)
    for label in labels:
        if label.id >= 0:
            table[label.id] = label.trainId
    return table


_ONE_DRAWING = Lock()
"""There is one standard output, which the library writes to and a thread would redirect."""


def label_from_polygons(path: Path) -> np.ndarray:
    """(H, W) uint8 training ids, drawn from polygons by the library.

    Raises:
        ValueError: the library left with a message, as it does for unknown names.
    """
    from cityscapesscripts.helpers.annotation import Annotation
    from cityscapesscripts.preparation.json2labelImg import createLabelImage

    said = io.StringIO()
    annotation = Annotation()
    try:
        with _ONE_DRAWING, contextlib.redirect_stdout(said):
            annotation.fromJsonFile(str(path))
            return np.asarray(createLabelImage(annotation, "trainIds"))
    except SystemExit:
        raise ValueError(said.getvalue().strip().splitlines()[0]) from None


def prepare(options: argparse.Namespace) -> Report:
    """Both splits; see the module."""
    folder, report = dataset_folder(options.root, FOLDER), Report()
    _require_library()
    for split, expected in COUNTS.items():
        annotations = folder / "gtFine" / split
        images = files_by_key(folder / "leftImg8bit" / split, f"*/*{IMAGE_END}", IMAGE_END)
        sources = {
            **_jobs(annotations, POLYGONS_END, label_from_polygons),
            **_jobs(annotations, IDS_END, label_from_ids),
        }
        report.miss(
            f"images of {split} without *{IDS_END} and *{POLYGONS_END} in gtFine/{split}/<city>",
            images.keys() - sources.keys(),
        )
        report.miss(
            f"annotations of {split} without leftImg8bit/{split}/<city>/*{IMAGE_END}",
            sources.keys() - images.keys(),
        )
        jobs = [sources[key] for key in sorted(sources.keys() & images.keys())]
        make_labels(split, jobs, options.workers, report)
        report.count(split, len(jobs), expected, options.partial)
    return report


def _jobs(folder: Path, end: str, make: Callable[[Path], np.ndarray]) -> dict[str, Job]:
    return {
        key: Job(path, partial(make, path), CLASSES, path.with_name(key + TARGET_END))
        for key, path in files_by_key(folder, f"*/*{end}", end).items()
    }


def _require_library() -> None:
    try:
        _training_ids()
    except ImportError as error:
        raise PreparationError(
            f"{error}: install the library with pip install 'auto-seg-loss[datasets]' or "
            "pip install cityscapesscripts"
        ) from None


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    options = script_parser(__doc__, FOLDER).parse_args(arguments)
    return run_script("prepare_cityscapes", prepare, options)


if __name__ == "__main__":
    sys.exit(main())
