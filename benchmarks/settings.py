"""Settings that losses are measured in, each in processes of its own, and what is found there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.steps import RIVAL

ROOT = Path(__file__).parents[1]
Figures = dict[str, dict[str, dict[str, float]]]
"""Shape -> "seconds", "kept" or, on a GPU, "peak" -> name -> figure."""


@dataclass(frozen=True)
class Setting:
    """How a process of measurements runs.

    mapped: glibc maps large blocks from the system and gives them back after every step, as it does
    by default; else it keeps them (MALLOC_MMAP_MAX_=0). busy: a second program keeps one core busy.
    """

    threads: int
    mapped: bool = True
    busy: bool = False

    @property
    def name(self) -> str:
        """As a column is called."""
        plural = "s" if self.threads > 1 else ""
        others = ("" if self.mapped else ", no mmap") + (", one core busy" if self.busy else "")
        return f"{self.threads} thread{plural}{others}"

    @property
    def calm(self) -> bool:
        """Whether it is what a process meets by itself on a free machine."""
        return self.mapped and not self.busy


@dataclass(frozen=True)
class Run:
    """What was measured in a setting; training: images per second by loss, {} if left out."""

    setting: Setting
    figures: Figures
    training: dict[str, float]

    def ratios(self, names: Sequence[str], rivals: Sequence[str] = (RIVAL,)) -> list[float]:
        """Times of the named over those of each rival, at all shapes that have both."""
        found = [figures["seconds"] for figures in self.figures.values()]
        return [s[n] / s[r] for s in found for n in names for r in rivals if n in s and r in s]

    def kept(self, names: Sequence[str]) -> list[float]:
        """What autograd keeps of the named, as shares of the logits compared with."""
        return [found["kept"][name] for found in self.figures.values() for name in names]


def settings(device: str, cores: int) -> list[Setting]:
    """All of them: threads, both habits of the allocator, a second program beside."""
    if device == "cuda":
        return [Setting(threads=cores)]
    counts = sorted({1, min(2, cores)}, reverse=True)
    quiet = [Setting(threads, mapped) for mapped in (True, False) for threads in counts]
    return [*quiet, Setting(counts[0], busy=True)]


def run(setting: Setting, shapes: Sequence[str], device: str, repeats: int, images: int) -> Run:
    """Measure everything in a setting; the training, of so many images an iteration, only where
    Detectron2 is installed.
    """
    options = ["--device", device, "--repeats", str(repeats)]
    slow = ["--slow"] if setting.calm else []
    figures = _printed(setting, "steps", [*options, *slow, *shapes])
    options += ["--images", str(images)]
    training = _printed(setting, "training", options) if find_spec("detectron2") else {}
    return Run(setting, figures, training)


def _printed(setting: Setting, module: str, arguments: Sequence[str]) -> Any:
    environment = {name: v for name, v in os.environ.items() if name != "MALLOC_MMAP_MAX_"}
    if not setting.mapped:
        environment["MALLOC_MMAP_MAX_"] = "0"
    command = [sys.executable, "-m", f"benchmarks.{module}", "--threads", str(setting.threads)]
    with _busy_core() if setting.busy else nullcontext():
        done = subprocess.run(
            [*command, *arguments], cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True
        )
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def _busy_core() -> Iterator[None]:
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        other.kill()
        other.wait()
