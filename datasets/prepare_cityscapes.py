#!/usr/bin/env python3
"""Makes the training labels of Cityscapes' fine annotations, with the library cityscapesscripts.

    python datasets/prepare_cityscapes.py [--root datasets] [--workers N] [--partial]

    cityscapes/gtFine/{train,val}/<city>/*_gtFine_labelIds.png        read, or where it is missing
    cityscapes/gtFine/{train,val}/<city>/*_gtFine_polygons.json       drawn
    cityscapes/gtFine/{train,val}/<city>/*_gtFine_labelTrainIds.png   written: 0..18 and 255

labelIds come first because they are the official pixels: versions of Pillow draw the borders of
polygons differently. Correct files are kept, so it can be rerun at any time.
"""

from __future__ import annotations

import contextlib
import io
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from threading import Lock

import numpy as np
from cityscapesscripts.helpers.annotation import Annotation
from cityscapesscripts.helpers.labels import labels
from cityscapesscripts.preparation.json2labelImg import createLabelImage
from preparation import Job, existing, make_labels, run_script, script_parser

from auto_seg_loss.data.labels import read_label
from auto_seg_loss.data.pairing import files_by_key

FOLDER = "cityscapes"
COUNTS = {"train": 2975, "val": 500}
IMAGE_END = "_leftImg8bit.png"
IDS_END, POLYGONS_END = "_gtFine_labelIds.png", "_gtFine_polygons.json"
TARGET_END = "_gtFine_labelTrainIds.png"
TRAINING_IDS = np.array([label.trainId for label in labels if label.id >= 0], dtype=np.uint8)
"""By label id; the library lists them in order."""


def label_from_ids(path: Path) -> np.ndarray:
    """(H, W) uint8 training ids of a file of label ids; LabelError for ids that do not exist."""
    ids = read_label(path, num_classes=len(TRAINING_IDS), ignore_label=0)
    return TRAINING_IDS[np.where(ids == 255, 0, ids)]  # id 0 is also void


_ONE_DRAWING = Lock()
"""The library writes to standard output, which is shared by all threads."""


def label_from_polygons(path: Path) -> np.ndarray:
    """(H, W) uint8 training ids, drawn from polygons by the library; ValueError if it fails, as
    for unknown names."""
    said, annotation = io.StringIO(), Annotation()
    try:
        with _ONE_DRAWING, contextlib.redirect_stdout(said):
            annotation.fromJsonFile(str(path))
            return np.asarray(createLabelImage(annotation, "trainIds"))
    except SystemExit:
        raise ValueError(said.getvalue().strip().splitlines()[0]) from None


def prepare(options: Namespace) -> list[str]:
    """Makes the labels of both splits; returns the problems."""
    folder = existing(options.root / FOLDER, "--root")
    problems = []
    for split, expected in COUNTS.items():
        images = files_by_key(folder / "leftImg8bit" / split, f"*/*{IMAGE_END}", IMAGE_END)
        annotations = folder / "gtFine" / split
        jobs = {
            **_jobs(annotations, POLYGONS_END, label_from_polygons),
            **_jobs(annotations, IDS_END, label_from_ids),
        }
        problems += make_labels(split, images.keys(), jobs, expected, options)
    return problems


def _jobs(folder: Path, end: str, make: Callable[[Path], np.ndarray]) -> dict[str, Job]:
    files = files_by_key(folder, f"*/*{end}", end)
    return {key: Job(path, make, path.with_name(key + TARGET_END)) for key, path in files.items()}


def main(arguments: list[str] | None = None) -> int:
    return run_script(script_parser("prepare_cityscapes", __doc__, FOLDER), prepare, arguments)


if __name__ == "__main__":
    sys.exit(main())
