#!/usr/bin/env python3
"""Makes the labels of ADE20K (scene parsing, 150 classes) that Detectron2 reads.

    python datasets/prepare_ade20k.py [--root datasets] [--workers N] [--partial]

The challenge counts from 1 and calls 0 "other"; here classes are 0..149 and the rest is 255:

    ADEChallengeData2016/annotations/{training,validation}/*.png              read
    ADEChallengeData2016/annotations_detectron2/{training,validation}/*.png   written

Correct files are kept, so it can be rerun at any time.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
from preparation import Job, existing, make_labels, run_script, script_parser

from auto_seg_loss.data.labels import read_label
from auto_seg_loss.data.pairing import files_by_key

FOLDER = "ADEChallengeData2016"
CLASSES = 150
COUNTS = {"training": 20210, "validation": 2000}


def label_of(path: Path) -> np.ndarray:
    """(H, W) uint8: the file's values less 1, so that 0 ("other") becomes 255."""
    label = read_label(path, num_classes=1 + CLASSES, ignore_label=0)  # 0 -> 255
    return np.where(label == 255, label, label - 1)


def prepare(options: Namespace) -> list[str]:
    """Makes the labels of both splits; returns the problems."""
    folder = existing(options.root / FOLDER, "--root")
    problems = []
    for split, expected in COUNTS.items():
        images = files_by_key(folder / "images" / split, "*.jpg", ".jpg")
        labels = files_by_key(folder / "annotations" / split, "*.png", ".png")
        made = folder / "annotations_detectron2" / split
        jobs = {key: Job(path, label_of, made / path.name) for key, path in labels.items()}
        problems += make_labels(split, images.keys(), jobs, expected, options)
    return problems


def main(arguments: list[str] | None = None) -> int:
    return run_script(script_parser("prepare_ade20k", __doc__, FOLDER), prepare, arguments)


if __name__ == "__main__":
    sys.exit(main())
