"""Small trainings stopped at random instants, and resumed until they are done.

    python tests/projects/kill_campaign.py DIRECTORY [--kills 50] [--seed 0]

Every start is train_net.py --resume in a fork of this process, which has imported everything
already. Prints one JSON object: how many SIGKILLs struck where, after how many trainings the final
checkpoint (weights, momenta, generators) was that of an uninterrupted one bit for bit, and what
became of SIGTERM and of two SIGINTs at once.
"""

from __future__ import annotations

import argparse
import gc
import io
import itertools
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE / "helpers"), str(ROOT / "datasets"), str(ROOT / "tests")]

from checkpoints import content_of, equal  # noqa: E402
from make_shapes import Parameters, make_shapes  # noqa: E402
from script_server import become, import_everything, run  # noqa: E402

LENGTH = ("SOLVER.MAX_ITER", "24", "SOLVER.CHECKPOINT_PERIOD", "3", "TEST.SAMPLES", "0")
CASES = {
    "one process": (),
    "two workers": ("DATALOADER.NUM_WORKERS", "2"),
    "accumulated, mixed precision": ("SOLVER.ACCUMULATE", "2", "SOLVER.AMP.ENABLED", "True"),
    "evaluations": ("TEST.EVAL_PERIOD", "3"),
}


def slow_files() -> None:
    """Have checkpoints and renamings take their time, so that kills strike there."""
    import torch

    save, rename = torch.save, Path.replace

    def save_in_halves(content: Any, file: Any) -> None:
        buffer = io.BytesIO()
        save(content, buffer)
        data = buffer.getvalue()
        for half in (data[: len(data) // 2], data[len(data) // 2 :]):
            file.write(half)
            file.flush()
            time.sleep(0.02)

    def rename_slowly(path: Path, target: Path) -> Path:
        time.sleep(0.01)
        return rename(path, target)

    torch.save, Path.replace = save_in_halves, rename_slowly  # type: ignore[assignment, method-assign]


def alive(pid: int) -> bool:
    """Whether a child has not ended; it stays to be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def final(directory: Path) -> dict[str, Any]:
    """The final checkpoint."""
    return content_of(directory / "model_final.pth")


def place(directory: Path) -> str:
    """Where a training was that left this directory behind; in a checkpoint, no file is whole."""
    if any(directory.glob("*.partial")):
        return "in a checkpoint"
    if not (directory / "last_checkpoint").exists():
        return "before a checkpoint"
    final = (directory / "model_final.pth").exists()
    return "after the training" if final else "between checkpoints"


class Campaign:
    """Trainings of all cases, each with its uninterrupted twin and the time from its first step."""

    def __init__(self, home: Path, seed: int, cases: Sequence[str]) -> None:
        self.cases = cases
        self.home, self.random, self.count = home, random.Random(seed), 0
        home.mkdir(parents=True, exist_ok=True)
        self.config, self.datasets = tiny_config(home), shapes(home)
        self.whole: dict[str, dict[str, Any]] = {}
        self.seconds: dict[str, float] = {}
        for case in cases:
            directory = self.new()
            pid = self.child(case, directory)
            self.wait(pid)
            start = time.monotonic()
            self.wait(pid, "model_final.pth")
            self.seconds[case] = 1.1 * (time.monotonic() - start)
            self.succeeded(pid)
            self.whole[case] = final(directory)

    def new(self) -> Path:
        """A directory for a training, not there yet."""
        self.count += 1
        return self.home / str(self.count)

    def child(self, case: str, directory: Path) -> int:
        """Start the training, or go on with it, in a process of its own; its id."""
        self.out = self.home / f"{directory.name}.{self.count}.out"
        self.count += 1
        options = ("OUTPUT_DIR", str(directory), *LENGTH, *CASES[case])
        job = {
            "script": str(ROOT / "projects" / "AutoSegLoss" / "train_net.py"),
            "arguments": ["--config-file", str(self.config), "--resume", *options],
            "directory": str(self.home),
            "environment": {"DETECTRON2_DATASETS": str(self.datasets)},
            "stdout": str(self.out),
            "stderr": str(self.out.with_suffix(".err")),
        }
        pid = os.fork()
        if pid == 0:
            become(job)
            slow_files()
            run(job)
        return pid

    def struck(self, case: str, directory: Path, *signums: int) -> int | None:
        """Send signals at a random instant; the exit status, None for one that had ended before."""
        pid = self.child(case, directory)
        self.wait(pid)
        time.sleep(self.random.random() * self.seconds[case])
        late = not alive(pid)
        for signum in signums:
            os.kill(pid, signum)
            time.sleep(self.random.random() * 0.02)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return None if late else status

    def wait(self, pid: int, text: str = "Starting training") -> None:
        """Until the process says so; no longer than it lives."""
        while alive(pid):
            if self.out.exists() and text in self.out.read_text():
                return
            time.sleep(0.005)

    def succeeded(self, pid: int) -> None:
        """Wait for the end; RuntimeError for another status than 0."""
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status != 0:
            raise RuntimeError(f"status {status}: {self.out.with_suffix('.err').read_text()}")

    def strike(self, least: int, *signums: int) -> dict[str, Any]:
        """These signals, one right after the other, at random instants until they struck so often;
        each training is stopped up to three times, and then resumed to its end."""
        statuses, places, tracebacks, identical, trainings = Counter(), Counter(), 0, 0, 0
        for case in itertools.cycle(self.cases):
            if statuses.total() >= least:
                break
            directory = self.new()
            for _ in range(min(3, least)):
                if status := self.struck(case, directory, *signums):
                    # As a shell says it, also of one that is past its own handlers, ending.
                    statuses[status if status > 0 else 128 - status] += 1
                    places[place(directory)] += 1
                    tracebacks += "Traceback" in self.out.with_suffix(".err").read_text()
            self.succeeded(self.child(case, directory))
            identical += equal(final(directory), self.whole[case])
            trainings += 1
        return {
            "exit statuses": statuses,
            "places": places,
            "tracebacks": tracebacks,
            "trainings": trainings,
            "identical": identical,
        }


def tiny_config(home: Path) -> Path:
    """The config of the tests."""
    from conftest import TINY

    path = home / "tiny.yaml"
    path.write_text(TINY)
    return path


def shapes(home: Path) -> Path:
    """The data sets of the tests."""
    make_shapes(home, Parameters(height=48, width=64, train=8, val=2, test=3))
    return home


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--stops", type=int, default=10, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", choices=CASES, help="this one alone")
    arguments = parser.parse_args()
    # A job in the background ignores Ctrl-C, and its children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    import_everything()
    gc.freeze()  # a collection in a fork would copy every page
    cases = [arguments.case] if arguments.case else list(CASES)
    campaign = Campaign(arguments.directory.absolute(), arguments.seed, cases)
    found = {
        "SIGKILL": campaign.strike(arguments.kills, signal.SIGKILL),
        "SIGTERM": campaign.strike(arguments.stops, signal.SIGTERM),
        "SIGINT twice": campaign.strike(arguments.stops, signal.SIGINT, signal.SIGINT),
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    main()
