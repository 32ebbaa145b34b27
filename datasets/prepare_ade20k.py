#!/usr/bin/env python3
"""Makes the labels of ADE20K (scene parsing, 150 classes) that Detectron2 reads.

    python datasets/prepare_ade20k.py [--root datasets] [--workers N] [--partial]

The challenge counts from 1 and calls 0 "other"; here classes are 0..149 and the rest is 255:

    ADEChallengeData2016/annotations/{training,validation}/*.png              read
    ADEChallengeData2016/annotations_detectron2/{training,validation}/*.png   written

Files that are right already are kept, so it may be run again at any time.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

import numpy as np
from label_files import read_indices
from preparation import (
    Job,
    Report,
    dataset_folder,
    files_by_key,
    make_labels,
    run_script,
    script_parser,
)

FOLDER = "ADEChallengeData2016"
CLASSES = 150
COUNTS = {"training": 20210, "validation": 2000}


def label_of(path: Path) -> np.ndarray:
    """(H, W) uint8: the file's values less 1, so that 0 ("other") becomes 255."""
    return read_indices(path, 1 + CLASSES) - np.uint8(1)  # wraps around at 0


def prepare(options: argparse.Namespace) -> Report:
    """Both splits; see the module."""
    folder, report = dataset_folder(options.root, FOLDER), Report()
    for split, expected in COUNTS.items():
        images = files_by_key(folder / "images" / split, "*.jpg", ".jpg")
        labels = files_by_key(folder / "annotations" / split, "*.png", ".png")
        report.miss(
            f"images of {split} without annotations/{split}/*.png", images.keys() - labels.keys()
        )
        report.miss(
            f"annotations of {split} without images/{split}/*.jpg", labels.keys() - images.keys()
        )
        jobs = [
            Job(
                path,
                partial(label_of, path),
                CLASSES,
                folder / "annotations_detectron2" / split / path.name,
            )
            for key, path in labels.items()
            if key in images
        ]
        make_labels(split, jobs, options.workers, report)
        report.count(split, len(jobs), expected, options.partial)
    return report


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    options = script_parser(__doc__, FOLDER).parse_args(arguments)
    return run_script("prepare_ade20k", prepare, options)


if __name__ == "__main__":
    sys.exit(main())
