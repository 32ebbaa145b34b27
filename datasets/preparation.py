"""What the prepare_*.py scripts share: label files made in parallel, checked, and written whole.

A script lists one job per label file. A job knows what its file must hold. A file that holds it
already is kept, any other is made anew. Problems are collected: one damaged file does not hide the
others. The scripts need no Detectron2 and no torch.

Letters: H, W size of a label in pixels; C number of classes.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from label_files import check_values, holds, write_label
from make_shapes import user_path
from tqdm import tqdm

LISTED = 10  # problems of a kind that are named before the rest is only counted


class PreparationError(RuntimeError):
    """The folders do not hold what a script needs; the message says what, and how to mend it."""


@dataclass(frozen=True)
class Job:
    """One label file.

    source: what the label is made from, for messages. make: returns the label, (H, W) uint8.
    classes: C; values are 0..C-1 or 255. target: the file to write, None to look at the label only.
    palette: write VOC's colours into it.
    """

    source: Path
    make: Callable[[], np.ndarray]
    classes: int
    target: Path | None = None
    palette: bool = False


class Outcome(NamedTuple):
    """What became of a job; `problem` is "" unless it failed."""

    status: Literal["written", "kept", "failed"]
    problem: str = ""


@dataclass
class Report:
    """What a script did, and what is wrong. labels: number of label files looked at."""

    labels: int = 0
    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def miss(self, what: str, files: Iterable[object]) -> None:
        """Notes files that are missing; nothing if there are none."""
        if names := sorted(map(str, files)):
            more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
            self.problems.append(f"{len(names)} {what}: {', '.join(names[:LISTED])}{more}")

    def count(self, what: str, found: int, expected: int, partial: bool) -> None:
        """Notes how many there are; other numbers than expected are a problem unless `partial`."""
        self.lines.append(f"{what}: {found} of {expected} images")
        if found != expected and not partial:
            self.problems.append(
                f"{what}: {found} images instead of {expected}; complete the download, or give "
                "--partial if a part of the set is what you want"
            )


def do(job: Job) -> Outcome:
    """Makes, checks and writes one label; a failure is an outcome, not an exception."""
    try:
        label = job.make()
        check_values(label, job.classes)
        if job.target is None or holds(job.target, label, job.palette):
            return Outcome("kept")
        write_label(job.target, label, job.palette)
    except (Exception, SystemExit) as error:  # libraries may leave by exit, too
        return Outcome("failed", f"{job.source}: {str(error) or type(error).__name__}")
    return Outcome("written")


def make_labels(title: str, jobs: Sequence[Job], workers: int, report: Report) -> None:
    """Does the jobs in `workers` threads, with a progress bar, and notes the outcome.

    Threads: Pillow reads and writes files outside of Python's lock.
    """
    pool = ThreadPoolExecutor(workers)
    try:
        done = tqdm(pool.map(do, jobs), total=len(jobs), desc=title, unit="file", disable=None)
        outcomes = list(done)
    finally:
        pool.shutdown(cancel_futures=True)
    statuses = [outcome.status for outcome in outcomes]
    report.labels += len(statuses)
    report.lines.append(
        f"{title}: {statuses.count('written')} written, {statuses.count('kept')} right already"
    )
    failures = [outcome.problem for outcome in outcomes if outcome.problem]
    report.problems += failures[:LISTED]
    if len(failures) > LISTED:
        report.problems.append(f"{title}: {len(failures) - LISTED} more files like these")


# --- scripts ------------------------------------------------------------------------------------


def script_parser(description: str | None, folder: str) -> argparse.ArgumentParser:
    """The options that all prepare_*.py have; `folder` is the one of the data set."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
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
    parser.add_argument(
        "--partial", action="store_true", help="accept other numbers of images than the whole set"
    )
    return parser


def dataset_folder(root: Path, name: str) -> Path:
    """<root>/<name>, which must be a directory."""
    folder = root / name
    if not folder.is_dir():
        raise PreparationError(
            f"{folder.absolute()} is no directory; give --root the folder that holds {name}/ "
            "(datasets/README.md shows the tree)"
        )
    return folder


def files_by_key(folder: Path, pattern: str, end: str) -> dict[str, Path]:
    """The files that match `pattern` by name without `end`, sorted; hidden ones are left out."""
    paths = sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))
    return {path.name.removesuffix(end): path for path in paths}


def run_script(
    name: str, prepare: Callable[[argparse.Namespace], Report], options: argparse.Namespace
) -> int:
    """Runs a script's work and prints its report; returns the exit status, 1 for problems."""
    try:
        report = prepare(options)
    except (PreparationError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            f"{name}: interrupted; what is finished is kept, run it again to go on", file=sys.stderr
        )
        return 130
    if not report.labels:
        report.problems.append("nothing to do was found; datasets/README.md shows the tree")
    print("\n".join(f"{name}: {line}" for line in report.lines))
    for problem in report.problems:
        print(f"{name}: {problem}", file=sys.stderr)
    return 1 if report.problems else 0
