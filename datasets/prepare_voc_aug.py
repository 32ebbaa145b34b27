#!/usr/bin/env python3
"""Makes VOC's augmented training set `trainaug`: VOC 2012 train and the labels of SBD.

    python datasets/prepare_voc_aug.py [--root datasets] [--sbd DIR] [--workers N] [--partial]

    VOC2012/ImageSets/Segmentation/{train,val}.txt   read, with their labels in SegmentationClass/
    <sbd>/{train,val}.txt, <sbd>/cls/*.mat           read; <sbd> is benchmark_RELEASE/dataset
    VOC2012/SegmentationClassAug/*.png               written: palette PNGs, 0..20 and 255
    VOC2012/ImageSets/Segmentation/trainaug.txt      written last, when nothing is missing

The list is VOC's train plus SBD's train and val, without VOC's val: 10582 images. If VOC has a
label, it is used, with its void rims; SBD's labels have none. Correct files are kept, so it can be
rerun at any time.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from functools import partial
from pathlib import Path

import numpy as np
from preparation import Job, existing, make_labels, run_script, script_parser
from scipy.io import loadmat

from auto_seg_loss.data.labels import read_label, unfit_values
from auto_seg_loss.data.lists import IMAGE_SUFFIXES, read_rows, stem_of
from autoseg_core.files import user_path, write_whole

FOLDER = "VOC2012"
SBD = Path("benchmark_RELEASE") / "dataset"
CLASSES = 21
COUNTS = {"val": 1449, "trainaug": 10582}


label_from_voc = partial(read_label, num_classes=CLASSES, ignore_label=255)


def label_from_sbd(path: Path) -> np.ndarray:
    """(H, W) uint8: GTcls.Segmentation of one of SBD's .mat files; ``ValueError`` without it."""
    try:
        label = loadmat(str(path))["GTcls"]["Segmentation"][0, 0]
    except Exception as error:  # scipy has no common type for damaged files
        raise ValueError(f"expected a MATLAB file with GTcls.Segmentation ({error})") from error
    if words := unfit_values(np.unique(label).tolist(), CLASSES, 255):
        raise ValueError(words)
    return np.ascontiguousarray(label, dtype=np.uint8)


def prepare(options: Namespace) -> list[str]:
    """Makes the labels, and then the list; returns the problems."""
    voc = existing(options.root / FOLDER, "--root")
    sbd = existing((options.sbd or options.root / SBD) / "cls", "--sbd").parent
    paths = existing(voc / "JPEGImages", "--root").iterdir()
    images = {path.stem for path in paths if path.suffix.lower() in IMAGE_SUFFIXES}
    lists = voc / "ImageSets" / "Segmentation"
    train, val, *extra = (
        {stem_of(row.image) for row in read_rows(folder / f"{split}.txt", images)}
        for folder in (lists, sbd)
        for split in ("train", "val")
    )
    # VOC's val labels are used unchanged; they are only checked.
    checks = {name: _job(voc, name) for name in val}
    problems = make_labels("val", images & val, checks, COUNTS["val"], options)
    trainaug = train.union(*extra) - val
    jobs = {name: _job(voc, name, None if name in train else sbd, True) for name in trainaug}
    wanted = COUNTS["trainaug"]
    problems += make_labels("trainaug", images & trainaug, jobs, wanted, options)
    if not problems:
        write_whole(lists / "trainaug.txt", "".join(f"{name}\n" for name in sorted(trainaug)))
    return problems


def _job(voc: Path, name: str, sbd: Path | None = None, write: bool = False) -> Job:
    """The label of an image, from VOC or else from SBD."""
    target = voc / "SegmentationClassAug" / f"{name}.png" if write else None
    if sbd is None:
        source = voc / "SegmentationClass" / f"{name}.png"
        return Job(source, label_from_voc, target, palette=True)
    return Job(sbd / "cls" / f"{name}.mat", label_from_sbd, target, palette=True)


def main(arguments: list[str] | None = None) -> int:
    parser = script_parser("prepare_voc_aug", __doc__, FOLDER)
    parser.add_argument(
        "--sbd",
        type=user_path,
        help=f"folder of SBD with cls/ and its lists (default: <root>/{SBD})",
    )
    return run_script(parser, prepare, arguments)


if __name__ == "__main__":
    sys.exit(main())
