"""The whole path in minutes: make a data set, search a loss, train with it, print one table.

    make demo        or        python projects/AutoSegLoss/demo_shapes.py [--budget small]

Runs the project's own scripts as a user would and prints each command. A second run goes on where
the first one stopped.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent
ROOT = PROJECT.parents[1]
CONFIGS = Path(os.path.relpath(PROJECT / "configs" / "shapes"))

# A tenth of the work: shows that everything runs, not what the method can do.
SMALL_SEARCH = shlex.split(
    "SEARCH.ROUNDS 2 SEARCH.SAMPLES 3 SEARCH.PROXY.MAX_ITER 20 SEARCH.WARM_START.MAX_ITER 60 "
    "SEARCH.SELECTION.TOP_K 1 SEARCH.SELECTION.RESEEDS 2"
)
SMALL_STUDY = ["SOLVER.MAX_ITER", "30"]

# One thread: so small a network gains nothing from more, and loses much when cores are shared.
ENVIRONMENT = {"OMP_NUM_THREADS": "1"}


def main() -> None:
    """Parse the command line and run the four steps."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    written = "where to write (output/demo[-small])"
    add("--output", type=lambda text: Path(text).expanduser(), help=written)
    parser.add_argument("--budget", choices=("full", "small"), default="full")
    arguments = parser.parse_args()
    small = arguments.budget == "small"
    output = arguments.output or Path("output", "demo-small" if small else "demo")
    start = time.monotonic()
    run_demo(output, SMALL_SEARCH if small else [], SMALL_STUDY if small else [])
    print(f"\nDone in {time.monotonic() - start:.0f} s. Files:")
    for name, what in (
        ("search/searched_loss.json", "the found loss: load_loss() takes this path"),
        ("search/curves.png", "its surfaces"),
        ("search/journal.jsonl", "every candidate"),
        ("study/summary.md", "the table above"),
        ("search/tensorboard", f"make tensorboard LOGDIR={shlex.quote(str(output))}"),
    ):
        print(f"  {output / name}: {what}")


def run_demo(output: Path, search_options: list[str], study_options: list[str]) -> None:
    """Make the set, search, compare; every file goes below ``output``."""
    data, search, study = output / "datasets", output / "search", output / "study"
    script(ROOT / "datasets" / "make_shapes.py", "--root", str(data))
    ENVIRONMENT["DETECTRON2_DATASETS"] = str(data)
    resume = ["--resume"] if (search / "journal.jsonl").exists() else []
    script(
        PROJECT / "search_net.py",
        *("--config-file", str(CONFIGS / "search-miou.yaml"), *resume),
        *("OUTPUT_DIR", str(search), *search_options),
    )
    found = [str(search / name) for name in ("identity_loss.json", "searched_loss.json")]
    losses = ["cross_entropy", *found]
    script(
        PROJECT / "study_net.py",
        *("--config-file", str(CONFIGS / "study-miou.yaml")),
        *("OUTPUT_DIR", str(study), "MODEL.WEIGHTS", str(search / "warm_start.pth")),
        *("STUDY.LOSSES", str(losses), *study_options),
    )


def script(path: Path, *arguments: str) -> None:
    """Print and run one script; stop when it fails (it has said why)."""
    command = [sys.executable, os.path.relpath(path), *arguments]
    settings = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
    print("$ " + shlex.join([*settings, os.path.relpath(sys.executable), *command[1:]]), flush=True)
    try:
        status = subprocess.run(command, env={**os.environ, **ENVIRONMENT}).returncode
    except KeyboardInterrupt:  # the step has said so
        status = 130
    if status:
        sys.exit(status)


if __name__ == "__main__":
    main()
