"""Time ratios against a named rival, measured in one process, as Markdown.

A ratio of two times taken side by side says something on any machine; seconds do not. Calls are
interleaved (one round of all, then the next), so that a slow moment of the machine falls on all of
them, and the median of the rounds is kept.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

import torch

from rl.executors.processes import available_cores


def median_seconds(
    calls: Mapping[str, Callable[[], object]], repeats: int = 5, warmups: int = 1
) -> dict[str, float]:
    """Median seconds of each call over ``repeats`` interleaved rounds.

    ``warmups`` rounds before them are not counted: compilers and caches do their work there. What
    a GPU still has to do is waited for.
    """
    if repeats < 1 or warmups < 0:
        raise ValueError(
            f"Expected repeats >= 1 and warmups >= 0, got repeats={repeats}, warmups={warmups}."
        )
    rounds = [
        {name: _seconds(call) for name, call in calls.items()} for _ in range(warmups + repeats)
    ]
    return {name: statistics.median(r[name] for r in rounds[warmups:]) for name in calls}


def ratios(seconds: Mapping[str, float], rival: str) -> dict[str, float]:
    """Every time as a multiple of the rival's."""
    if rival not in seconds:
        raise ValueError(f"No time of the rival {rival!r}; measured: {', '.join(seconds)}.")
    return {name: value / seconds[rival] for name, value in seconds.items()}


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers (to the right)."""
    rule = ["---", *["---:"] * (len(columns) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [columns, rule, *rows])


def header(packages: Sequence[str] = ()) -> str:
    """One line that says where and when: date, processor, threads, Python, versions.

    packages: names beside torch and numpy; those that are not installed are left out.
    """
    processor = f"{_processor()}, {torch.get_num_threads()} threads of {available_cores()} cores"
    parts = [datetime.now(timezone.utc).strftime("%Y-%m-%d"), processor]
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    parts.append(f"Python {platform.python_version()}")
    for name in ("torch", "numpy", *packages):
        try:
            parts.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return f"Measured {'; '.join(parts)}."


def _seconds(call: Callable[[], object]) -> float:
    _finish()
    start = time.perf_counter()
    call()
    _finish()
    return time.perf_counter() - start


def _finish() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _processor() -> str:
    """The processor's name as Linux tells it, else what Python knows."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
