"""A document whose tables are measured: each benchmark's output stands between two markers.

    <!-- bm_loss: begin -->
    what `python -m benchmarks.bm_loss` printed
    <!-- bm_loss: end -->

What stands around the markers is written by hand and kept to the letter.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


class ReportError(RuntimeError):
    """A benchmark or a document that cannot be used; the message says what to mend."""


def benchmarks(folder: Path) -> list[Path]:
    """The scripts bm_*.py of a folder, sorted."""
    return sorted(folder.glob("bm_*.py"))


def measured(script: Path, options: Sequence[str] = ()) -> str:
    """What a script prints: Markdown. It runs as a module of its folder, in a process of its own.

    Raises ``ReportError`` with its last words when it fails or prints nothing.
    """
    command = [sys.executable, "-m", f"{script.parent.name}.{script.stem}", *options]
    done = subprocess.run(command, cwd=script.parent.parent, capture_output=True, text=True)
    said = done.stderr.strip().splitlines()[-20:]
    if done.returncode:
        raise ReportError("\n".join([f"{' '.join(command)} failed ({done.returncode}):", *said]))
    if not done.stdout.strip():
        raise ReportError(f"{' '.join(command)} printed no table.")
    return done.stdout.strip()


def replaced(document: str, name: str, text: str) -> str:
    """The document with ``text`` between the markers of ``name``; ``ReportError`` unless both are
    there, once each and in order.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    if document.count(begin) != 1 or document.count(end) != 1:
        raise ReportError(
            f"The document needs the lines\n{begin}\n{end}\nonce each, where the tables of {name} "
            "are to stand."
        )
    before, _, rest = document.partition(begin)
    if end not in rest:
        raise ReportError(f"{end} stands before {begin}: swap them.")
    after = rest.partition(end)[2]
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


def refresh(document: Path, script: Path, options: Sequence[str] = ()) -> str:
    """Measure one script, put its output into the document, and return it."""
    replaced(document.read_text("utf-8"), script.stem, "")  # a missing marker shows before the work
    text = measured(script, options)
    # Read again: a measurement takes minutes, in which somebody may have edited the prose.
    document.write_text(replaced(document.read_text("utf-8"), script.stem, text), "utf-8")
    return text
