"""Shared code of the prepare_*.py scripts: make label files in parallel, checked and atomically.

A script lists one job per label file. A job knows the content of its file. A file with this content
is kept, any other is rewritten. Problems are collected: one damaged file does not hide the
others.

Letters: H, W size of a label in pixels.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.contrib.concurrent import thread_map

from auto_seg_loss.data.builtin_datasets import voc_colours
from auto_seg_loss.data.catalog import LISTED, some
from autoseg_core.files import replacing, user_path

WRITTEN, KEPT = "written", "right already"


@dataclass(frozen=True)
class Job:
    """One label file.

    source: the file that the label is made from. make: returns the label, (H, W) uint8, of its
    source. target: the file to write, None to only check the label. palette: write VOC's colours
    into it.
    """

    source: Path
    make: Callable[[Path], np.ndarray]
    target: Path | None = None
    palette: bool = False


def make_labels(
    split: str, images: Set[str], jobs: Mapping[str, Job], expected: int, options: Namespace
) -> list[str]:
    """Makes the labels of a split and prints how many; returns the problems.

    images, jobs: by key; an image without a job, or a job without an image, is a problem, and so
    is another number than ``expected`` unless ``options``, of ``script_parser``, have ``partial``.
    """
    problems = []
    if lonely := sorted(images ^ jobs.keys()):
        problems.append(f"{len(lonely)} images or labels of {split} are unmatched: {some(lonely)}")
    own = [jobs[key] for key in sorted(images & jobs.keys())]
    # In threads: files are read and written without the GIL.
    found = thread_map(do, own, max_workers=options.workers, desc=split, unit="file", disable=None)
    print(f"{split}: {', '.join(f'{found.count(state)} {state}' for state in (WRITTEN, KEPT))}")
    print(f"{split}: {len(found)} of {expected} images")
    failed = [words for words in found if words not in (WRITTEN, KEPT)]
    problems += failed[:LISTED]
    if len(failed) > LISTED:
        problems.append(f"{split}: {len(failed) - LISTED} more files like these")
    if len(found) != expected and not options.partial:
        problems.append(
            f"{split}: {len(found)} images instead of {expected}; complete the download, or "
            "pass --partial if you want only a part of the set"
        )
    return problems


def do(job: Job) -> str:
    """Makes and writes one label; `WRITTEN`, `KEPT`, or a description of the problem."""
    try:
        label = job.make(job.source)
        if job.target is None or holds(job.target, label, job.palette):
            return KEPT
        write_label(job.target, label, job.palette)
    except Exception as error:
        return f"{job.source}: {str(error) or type(error).__name__}"
    return WRITTEN


def holds(path: Path, label: np.ndarray, palette: bool) -> bool:
    """Whether the file exists, is readable, of the right kind, and equal to the label."""
    try:
        with Image.open(path) as picture:
            kind = "P" if palette else "L"
            return picture.mode == kind and np.array_equal(np.asarray(picture), label)
    except (OSError, SyntaxError, ValueError):  # missing or damaged
        return False


def write_label(path: Path, label: np.ndarray, palette: bool) -> None:
    """Writes (H, W) uint8 as PNG, atomically; makes the folder."""
    picture = Image.fromarray(label)
    if palette:
        picture.putpalette([level for colour in voc_colours(256) for level in colour])
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        picture.save(partial, format="PNG")


def script_parser(name: str, description: str | None, folder: str) -> ArgumentParser:
    """The common options of prepare_*.py; `folder` is that of the data set."""
    parser = ArgumentParser(
        name, description=description, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--root",
        type=user_path,
        default=os.environ.get("DETECTRON2_DATASETS", "datasets"),
        help=f"folder that holds {folder}/ (default: $DETECTRON2_DATASETS, else ./datasets)",
    )
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="threads (default: one per core)"
    )
    parser.add_argument("--partial", action="store_true", help="accept an incomplete set of images")
    return parser


def existing(folder: Path, option: str) -> Path:
    """The folder, which must be a directory; the command line's `option` sets its place."""
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder.absolute()} is not a directory; datasets/README.md shows the tree, and "
            f"{option} sets its place"
        )
    return folder


def run_script(
    parser: ArgumentParser,
    prepare: Callable[[Namespace], list[str]],
    arguments: list[str] | None,
) -> int:
    """Runs a script's work and prints its problems; returns the exit status, 1 for problems."""
    try:
        problems = prepare(parser.parse_args(arguments))
    except (OSError, ValueError) as error:
        problems = [str(error)]
    except KeyboardInterrupt:
        words = "interrupted; finished files are kept, run it again to continue"
        print(f"{parser.prog}: {words}", file=sys.stderr)
        return 130
    for problem in problems:
        print(f"{parser.prog}: {problem}", file=sys.stderr)
    return 1 if problems else 0
