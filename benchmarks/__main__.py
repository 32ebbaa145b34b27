"""Runs every benchmark and renews the tables of docs/benchmarks.md.

    make bench        or        python -m benchmarks [--document docs/benchmarks.md] [OPTIONS]

Other options go to every benchmark: --quick shows in seconds that they run.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks.report import ReportError, benchmarks, refresh

FOLDER = Path(__file__).resolve().parent
DOCUMENT = FOLDER.parent / "docs" / "benchmarks.md"


def main() -> None:
    """Run all; stop at the first that fails, with what was measured before it written down."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--document", type=Path, default=DOCUMENT, help="tables to update")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="folder of the scripts bm_*.py")
    options, others = parser.parse_known_args()
    for script in benchmarks(options.folder.resolve()):
        start = time.monotonic()
        print(f"# {script.stem}", flush=True)
        try:
            print(refresh(options.document, script, others))
        except ReportError as error:
            sys.exit(f"benchmarks: {error}")
        print(f"\n({time.monotonic() - start:.0f} s)\n", flush=True)
    print(f"Renewed {options.document}")


if __name__ == "__main__":
    main()
