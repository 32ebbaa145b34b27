"""Small trainings stopped at random instants, and resumed until they are done.

    python tests/projects/kill_campaign.py DIRECTORY [--kills 50] [--seed 0]

Every start is train_net.py --resume. Prints one JSON object: how many SIGKILLs struck where, after
how many trainings the final checkpoint (weights, momenta, generators) was that of an uninterrupted
one bit for bit, and what became of SIGTERM and of two SIGINTs at once.
"""

from __future__ import annotations

import argparse
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
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1] / "datasets")]

from checkpoints import content_of, equal  # noqa: E402
from conftest import TINY, Run, ScriptServer  # noqa: E402
from make_shapes import Parameters, make_shapes  # noqa: E402

LENGTH = ("SOLVER.MAX_ITER", 24, "SOLVER.CHECKPOINT_PERIOD", 3, "TEST.SAMPLES", 0)
CASES = {
    "one process": (),
    "two workers": ("DATALOADER.NUM_WORKERS", 2),
    "accumulated, mixed precision": ("SOLVER.ACCUMULATE", 2, "SOLVER.AMP.ENABLED", True),
    "evaluations": ("TEST.EVAL_PERIOD", 3),
}


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
        make_shapes(home, Parameters(height=48, width=64, train=8, val=2, test=3))
        (home / "tiny.yaml").write_text(TINY)
        self.home, self.random, self.count = home, random.Random(seed), 0
        self.server = ScriptServer(home, home)
        self.cases, self.whole, self.seconds = cases, {}, {}
        for case in cases:
            run, directory = self.begun(case, self.new())
            start = time.monotonic()
            run.assert_ok()
            self.seconds[case] = time.monotonic() - start
            self.whole[case] = final(directory)

    def new(self) -> Path:
        """A directory for a training, not there yet."""
        self.count += 1
        return self.home / str(self.count)

    def begun(self, case: str, directory: Path) -> tuple[Run, Path]:
        """Start the training, or go on with it, and wait for its loop."""
        options = ("--resume", "OUTPUT_DIR", directory, *LENGTH, *CASES[case])
        script = str(HERE / "helpers" / "slow_training.py")
        run = self.server.start(script, "--config-file", self.home / "tiny.yaml", *options)
        run.wait_until(lambda: run.out.exists() and "Starting training" in run.stdout)
        return run, directory

    def struck(self, case: str, directory: Path, *signums: int) -> Run | None:
        """Send signals at a random instant; None for a training that had ended before."""
        run, _ = self.begun(case, directory)
        time.sleep(self.random.random() * self.seconds[case])
        late = self.server.ask({"has ended": run.pid})
        for signum in signums:
            os.kill(run.pid, signum)
            time.sleep(self.random.random() * 0.02)
        run.wait()
        return None if late else run

    def strike(self, least: int, *signums: int) -> dict[str, Any]:
        """These signals, one right after the other, at random instants until they struck so often;
        each training is stopped up to three times, and then resumed to its end."""
        statuses, places, tracebacks, identical, trainings = Counter(), Counter(), 0, 0, 0
        for case in itertools.cycle(self.cases):
            if statuses.total() >= least:
                break
            directory = self.new()
            for _ in range(min(3, least)):
                run = self.struck(case, directory, *signums)
                if run is not None and run.status:
                    # As a shell says it.
                    statuses[run.status if run.status > 0 else 128 - run.status] += 1
                    where = place(directory)
                    places[where] += 1
                    # One that is past its own handlers, ending, leaves signals to Python.
                    tracebacks += "Traceback" in run.stderr and where != "after the training"
            self.begun(case, directory)[0].assert_ok()
            identical += equal(final(directory), self.whole[case])
            trainings += 1
        return {
            "exit statuses": statuses,
            "places": places,
            "tracebacks": tracebacks,
            "trainings": trainings,
            "identical": identical,
        }


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
    cases = [arguments.case] if arguments.case else list(CASES)
    campaign = Campaign(arguments.directory.absolute(), arguments.seed, cases)
    found = {
        "SIGKILL": campaign.strike(arguments.kills, signal.SIGKILL),
        "SIGTERM": campaign.strike(arguments.stops, signal.SIGTERM),
        "SIGINT twice": campaign.strike(arguments.stops, signal.SIGINT, signal.SIGINT),
    }
    campaign.server.close()
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
