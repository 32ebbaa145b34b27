#!/usr/bin/env python3
"""Makes VOC's augmented training set `trainaug`: VOC 2012 train and the labels of SBD.

    python datasets/prepare_voc_aug.py [--root datasets] [--sbd DIR] [--workers N] [--partial]

    VOC2012/ImageSets/Segmentation/{train,val}.txt   read, with their labels in SegmentationClass/
    <sbd>/{train,val}.txt, <sbd>/cls/*.mat           read; <sbd> is benchmark_RELEASE/dataset
    VOC2012/SegmentationClassAug/*.png               written: palette PNGs, 0..20 and 255
    VOC2012/ImageSets/Segmentation/trainaug.txt      written last, when nothing is missing

The list is VOC's train and SBD's train and val, without VOC's val: 10582 images. Where VOC has a
label, that one is taken, with its void rims; SBD's labels have none. Files that are right already
are kept, so it may be run again at any time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
from label_files import lists, read_indices, write_whole
from make_shapes import user_path
from preparation import (
    Job,
    PreparationError,
    Report,
    dataset_folder,
    make_labels,
    run_script,
    script_parser,
)
from scipy.io import loadmat

FOLDER = "VOC2012"
SBD = Path("benchmark_RELEASE") / "dataset"
CLASSES = 21
COUNTS = {"train": 1464, "val": 1449, "trainaug": 10582}


def label_from_sbd(path: Path) -> np.ndarray:
    """(H, W) uint8: GTcls.Segmentation of one of SBD's .mat files.

    Raises:
        ValueError: the file is damaged or holds something else.
    """
    try:
        label = loadmat(path)["GTcls"]["Segmentation"][0, 0]
    except Exception as error:  # scipy has no common type for damaged files
        raise ValueError(f"expected a MATLAB file with GTcls.Segmentation ({error})") from error
    if label.ndim != 2 or label.dtype != np.uint8:
        raise ValueError(f"expected (H, W) of uint8, got {label.shape} of {label.dtype}")
    return np.ascontiguousarray(label)


def prepare(options: argparse.Namespace) -> Report:
    """Labels, and then the list; see the module."""
    voc, report = dataset_folder(options.root, FOLDER), Report()
    sbd = options.sbd or options.root / SBD
    images = _images(voc / "JPEGImages")
    names = {split: _names(_list(voc, split), images) for split in ("train", "val")}
    extra = {n for split in ("train", "val") for n in _names(_sbd_list(sbd, split), images)}
    names["trainaug"] = sorted({*names["train"], *extra} - {*names["val"]})
    own = {*names["train"], *names["val"]}

    report.miss(
        "images of these lists without JPEGImages/*.jpg",
        {*names["trainaug"], *names["val"]} - images,
    )
    no_label = _absent(voc / "SegmentationClass", ".png", own)
    report.miss("images of VOC without SegmentationClass/*.png", no_label)
    no_mat = _absent(sbd / "cls", ".mat", {*names["trainaug"]} - own)
    report.miss(f"images of SBD without {sbd / 'cls'}/*.mat", no_mat)

    missing = {*no_label, *no_mat}
    checks = [_check(voc, name) for name in names["val"] if name not in missing]
    make_labels("val", checks, options.workers, report)
    jobs = [_job(voc, sbd, n, n in own) for n in names["trainaug"] if n not in missing]
    make_labels("trainaug", jobs, options.workers, report)
    for split, expected in COUNTS.items():
        report.count(split, len(names[split]), expected, options.partial)
    if not report.problems:
        text = "".join(f"{name}\n" for name in names["trainaug"])
        write_whole(_list(voc, "trainaug"), lambda path: path.write_text(text))
    return report


def _job(voc: Path, sbd: Path, name: str, is_vocs: bool) -> Job:
    """One label of SegmentationClassAug, from VOC or from SBD."""
    source = sbd / "cls" / f"{name}.mat"
    make = partial(label_from_sbd, source)
    if is_vocs:
        source = voc / "SegmentationClass" / f"{name}.png"
        make = partial(read_indices, source)
    target = voc / "SegmentationClassAug" / f"{name}.png"
    return Job(source, make, CLASSES, target, palette=True)


def _check(voc: Path, name: str) -> Job:
    """VOC's val labels are used as they are; they are looked at only."""
    path = voc / "SegmentationClass" / f"{name}.png"
    return Job(path, partial(read_indices, path), CLASSES)


def _list(voc: Path, split: str) -> Path:
    return voc / "ImageSets" / "Segmentation" / f"{split}.txt"


def _sbd_list(sbd: Path, split: str) -> Path:
    if not (sbd / "cls").is_dir():
        raise PreparationError(
            f"{(sbd / 'cls').absolute()} is no directory; give --sbd the folder of SBD that holds "
            "cls/, train.txt and val.txt (datasets/README.md shows the tree)"
        )
    return sbd / f"{split}.txt"


def _names(path: Path, images: set[str]) -> list[str]:
    try:
        return [lists.stem_of(row.image) for row in lists.read_rows(path, images)]
    except FileNotFoundError:
        raise PreparationError(f"there is no list {path.absolute()}") from None
    except lists.ListError as error:
        raise PreparationError(str(error)) from None


def _images(folder: Path) -> set[str]:
    """Stems of the images that there are."""
    paths = folder.iterdir() if folder.is_dir() else ()
    return {path.stem for path in paths if path.suffix.lower() in lists.IMAGE_SUFFIXES}


def _absent(folder: Path, end: str, names: Iterable[str]) -> set[str]:
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return {name for name in names if name + end not in there}


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = script_parser(__doc__, FOLDER)
    parser.add_argument(
        "--sbd",
        type=user_path,
        help=f"folder of SBD with cls/ and its lists (default: <root>/{SBD})",
    )
    return run_script("prepare_voc_aug", prepare, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
