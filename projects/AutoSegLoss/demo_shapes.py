"""All steps in minutes: make a data set, search for a loss, compare it, report the result.

    make demo    or    python projects/AutoSegLoss/demo_shapes.py [--budget small] [--seed N]

Runs the project's own scripts as a user would and prints each command. A second run continues where
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
CONFIG = Path(os.path.relpath(PROJECT / "configs" / "features" / "Shapes.yaml"))
METRIC = "mIoU"
RIVALS = f"cross_entropy,dice,soft:{METRIC}"

# Options of each script. "small" is a tenth of the work: it shows that everything runs, not what
# the method can do.
BUDGETS = {
    "full": ("--train 160 --val 40 --test 80", "", ""),
    "small": (
        "--train 32 --val 8 --test 8",
        "SEARCH.ROUNDS 1 SEARCH.SAMPLES 6 SEARCH.PROXY.MAX_ITER 20 SEARCH.SELECTION.TOP_K 1",
        "--rates 1 --seeds 2 --iterations 30",
    ),
}

# One thread: such a small network gains nothing from more, and loses much when cores are shared.
ENVIRONMENT = {"OMP_NUM_THREADS": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    written = "output folder (default: output/demo[-small])"
    add("--output", type=lambda text: Path(text).expanduser(), help=written)
    add("--budget", choices=BUDGETS, default="full")
    add("--seed", type=int, default=1, help="of images and search (default: %(default)s)")
    arguments = parser.parse_args()
    name = "demo" if arguments.budget == "full" else "demo-small"
    output = arguments.output or Path("output", name)
    start = time.monotonic()
    run_demo(output, arguments.seed, *map(shlex.split, BUDGETS[arguments.budget]))
    print(f"Done in {time.monotonic() - start:.0f} s. Files:")
    for path, what in (
        ("search/searched_loss.json", "the found loss: load_loss() takes this path"),
        ("search/curves.png", "its surfaces"),
        ("search/journal.jsonl", "every candidate"),
        ("comparison/comparison.md", "the tables above"),
        ("search/tensorboard", f"make tensorboard LOGDIR={shlex.quote(str(output))}"),
    ):
        print(f"  {output / path}: {what}")


def run_demo(
    output: Path, seed: int, images: list[str], search: list[str], compare: list[str]
) -> None:
    """Make the set, search, compare; all files go below ``output``. Lists: further options."""
    root = ENVIRONMENT["DETECTRON2_DATASETS"] = str(output / "datasets")
    make = ROOT / "datasets" / "make_shapes.py"
    script(make, "--root", root, "--seed", str(seed), *images)
    keys = ["SEED", str(seed), "SEARCH.METRIC", METRIC, "FEATURES.CACHE", str(output / "features")]
    folder, config = output / "search", ("--config-file", str(CONFIG))
    resume = ["--resume"] if (folder / "journal.jsonl").exists() else []
    keys += ["OUTPUT_DIR", str(folder)]
    script(PROJECT / "search_net.py", *config, *resume, *keys, *search)
    found = ("--found", str(folder / "searched_loss.json"), "--metrics", METRIC, "--workers", "2")
    keys[-1] = str(output / "comparison")
    script(PROJECT / "compare_losses.py", *config, "--losses", RIVALS, *found, *compare, *keys)


def script(path: Path, *arguments: str) -> None:
    """Print and run one script; stop if it fails (it has printed why)."""
    command = [sys.executable, os.path.relpath(path), *arguments]
    settings = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
    print("$ " + shlex.join([*settings, os.path.relpath(sys.executable), *command[1:]]), flush=True)
    try:
        status = subprocess.run(command, env={**os.environ, **ENVIRONMENT}).returncode
    except KeyboardInterrupt:  # the step has printed why
        status = 130
    if status:
        sys.exit(status)


if __name__ == "__main__":
    main()
