r"""Find a loss for your images, your labels and your metric.

    python projects/AutoSegLoss/find_loss.py --images DIR --labels DIR --metric BIoU \
        --minutes 30 --output DIR [--classes FILE] [--void N] [--groups REGEX] [--workers N] \
        [KEY VALUE ...]

Labels are PNG files with the stems of their images and class indices, or colours with
INPUT.LABEL_PALETTE. It checks the data, splits it into three parts, computes features of a
pretrained network once, trains baselines on them, searches for a loss, and compares both
on the test part: OUTPUT/report.md. The same command continues an interrupted run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from auto_seg_loss.runtime.scripts import at_least, explain_user_errors, say_how_to_go_on
from auto_seg_loss.study.finding import find_loss
from auto_seg_loss.study.finding_configs import Wish
from autoseg_core.files import user_path
from rl.executors.processes import available_cores


def main() -> None:
    arguments = _parser().parse_args()
    with explain_user_errors(), say_how_to_go_on():
        print(find_loss(Wish(**vars(arguments))))


def _file(text: str) -> Path:
    if not (path := user_path(text)).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {path}")
    return path


def _folder(text: str) -> Path:
    if (path := user_path(text)).is_file():
        raise argparse.ArgumentTypeError(f"expected a folder, new or of this run; {path} is a file")
    return path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--images", required=True, type=user_path, metavar="DIR")
    add("--labels", required=True, type=user_path, metavar="DIR")
    add("--metric", default="mIoU", help="a metric or an objective (default: %(default)s)")
    add(
        "--minutes",
        type=float,
        default=30.0,
        help="total time; warns if it is too short (default: %(default)s)",
    )
    add("--output", required=True, type=_folder, metavar="DIR")
    add(
        "--classes",
        type=_file,
        metavar="FILE",
        help="file of class names, one per line (default: classes.txt)",
    )
    add("--void", type=int, default=255, help="label of void pixels (default: %(default)s)")
    add("--groups", default="", metavar="REGEX", help="matches the film or patient in a file name")
    text = "processes that train (default: %(default)s, one per core)"
    add("--workers", type=at_least(1), default=available_cores(), help=text)
    add("opts", nargs=argparse.REMAINDER, help="KEY VALUE pairs that override the config")
    return parser


if __name__ == "__main__":
    main()
