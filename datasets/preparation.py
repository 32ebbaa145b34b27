"""What the prepare_*.py scripts share: label files made in parallel, checked, and written whole.

A script lists jobs, one a label file. A job knows what its file must hold. A file that holds it
already is kept, any other is made anew. Problems are collected: one damaged file does not hide the
others. The scripts need no Detectron2 and no torch.

Letters: H, W size of a label in pixels; C number of classes.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
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

    source: what the label is made from, for messages. make: returns the label, (H, W) uint8;
    must be picklable, such as a `functools.partial` of a function. classes: C; values are 0..C-1
    or 255. target: the file to write, None to look at the label only. palette: write VOC's colours
    into it.
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


# --- all of them --------------------------------------------------------------------------------


def make_labels(title: str, jobs: Sequence[Job], workers: int, report: Report) -> None:
    """Does the jobs in `workers` processes, with a progress bar, and notes the outcome."""
    outcomes = tqdm(
        _outcomes(jobs, workers), total=len(jobs), desc=title, unit="file", disable=None
    )
    statuses = []
    failures = []
    for outcome in outcomes:
        statuses.append(outcome.status)
        if outcome.problem:
            failures.append(outcome.problem)
    report.labels += len(statuses)
    report.lines.append(
        f"{title}: {statuses.count('written')} written, {statuses.count('kept')} right already"
    )
    report.problems += failures[:LISTED]
    if len(failures) > LISTED:
        report.problems.append(f"{title}: {len(failures) - LISTED} more files like these")


def _outcomes(jobs: Sequence[Job], workers: int) -> Iterator[Outcome]:
    if workers == 1 or len(jobs) < 2:
        yield from map(do, jobs)
        return
    # Spawned: a fork of a process with threads, as tqdm's, may hang.
    pool = ProcessPoolExecutor(
        min(workers, len(jobs)), mp_context=get_context("spawn"), initializer=_begin_worker
    )
    try:
        yield from pool.map(do, jobs, chunksize=min(16, 1 + len(jobs) // (4 * workers)))
    except BrokenProcessPool:
        raise PreparationError(
            "a worker process died, perhaps for want of memory; what is finished is kept: "
            "run it again with fewer --workers"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_worker() -> None:
    """Ctrl-C reaches every process of a terminal: only the first one answers it, and ends the rest.

    When the first one is killed, nobody tells its workers, who would wait for work for ever.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    first = parent_process()
    assert first is not None  # this runs in workers only

    def end_with_it() -> None:
        first.join()
        os._exit(1)

    Thread(target=end_with_it, daemon=True).start()


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
        "--workers",
        type=_positive,
        default=_cores(),
        help="processes (default: one a core)",
    )
    parser.add_argument(
        "--partial", action="store_true", help="accept other numbers of images than the whole set"
    )
    return parser


def _cores() -> int:
    """Cores that this process may use; where the system does not say, those that there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {text}")
    return number


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
