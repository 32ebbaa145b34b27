"""Everything that only a GPU can show, in one command of a few minutes; no network is needed.

    make gpu        or        python -m benchmarks.gpu [--device cpu] [--output output/gpu.md]

Prints one Markdown table (check, measured, bar, pass or fail), writes it for docs/benchmarks.md,
and exits with 1 if anything failed. Each check runs in a process of its own: one that breaks the
device's state spoils no other. `--device cpu` (make gpu DEVICE=cpu) shows on small data that it
runs. Needs the packages of setup.cfg and pytest; those of another folder are found by PYTHONPATH.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from pkgutil import resolve_name

from benchmarks.gpu.parity import exact, parity
from benchmarks.gpu.rows import Row
from benchmarks.gpu.setups import PROJECT, ROOT, processes, scripts, tests, training
from benchmarks.gpu.speed import speed
from benchmarks.timing import header, markdown_table

CHECKS: dict[str, Callable[[str], Iterator[Row]]] = {
    "parity": parity,
    "speed": speed,
    "exact": exact,
    "training": training,
    "processes": processes,
    "scripts": scripts,
    # By its name: no other check needs Detectron2 here.
    "candidates": lambda device: resolve_name("benchmarks.gpu.candidates:candidates")(device),
    "tests": tests,
}
SECONDS = 480
"""Time limit of all checks together."""


def run(name: str, device: str, seconds: float = SECONDS) -> list[Row]:
    """One check in a process of its own; a row that fails where it broke or took longer."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--device", device, "--only", name]
    paths = [str(ROOT), str(PROJECT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return [Row(name, f"not done after {seconds:.0f} s", "runs", False)]
    rows = [Row(**json.loads(line)) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode:
        print(done.stdout + done.stderr, file=sys.stderr)
        said = (done.stderr.strip().splitlines() or ["no message"])[-1]
        rows.append(Row(name, said.replace("|", "/")[:120], "runs", False))
    return rows


def table(rows: Sequence[Row]) -> str:
    """One line for each row; "-" where no bar is set."""
    verdict = {True: "pass", False: "**fail**", None: "-"}
    cells = [[row.check, row.measured, row.bar, verdict[row.passed]] for row in rows]
    return markdown_table(["check", "measured", "bar", "result"], cells)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--output", type=Path, default=Path("output", "gpu.md"))
    parser.add_argument("--checks", nargs="+", choices=list(CHECKS), default=list(CHECKS))
    parser.add_argument("--only", choices=list(CHECKS), help="run in this process; rows as JSON")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the checks one after the other; the table grows in the file as they end."""
    options = parse(arguments)
    if options.only:
        for row in CHECKS[options.only](options.device):
            print(json.dumps(asdict(row)), flush=True)
        return
    start, rows = time.monotonic(), []
    options.output.parent.mkdir(parents=True, exist_ok=True)
    for name in options.checks:
        rows += run(name, options.device, max(1, SECONDS + start - time.monotonic()))
        print(f"{time.monotonic() - start:4.0f} s  {name}", file=sys.stderr, flush=True)
        options.output.write_text(f"{header(['triton'])}\n\n{table(rows)}\n", "utf-8")
    print(options.output.read_text("utf-8"))
    if any(row.passed is False for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
