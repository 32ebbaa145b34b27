"""Time and memory of the losses as multiples of cross entropy, beside the bars they must keep.

    python -m benchmarks.bm_loss [--quick] [--headline] [--device cuda] [--repeats 9]

Prints Markdown: every bar with the worst that was measured of it, then one table per setting. What
is compared takes turns in one process. ATEN_CPU_CAPABILITY=avx2 in the environment chooses the
instruction set, of PyTorch's kernels and of ours.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import torch

from benchmarks.rivals import SMP
from benchmarks.settings import Run, run, settings
from benchmarks.steps import (
    BANDS,
    BOUNDARIES,
    HALF,
    LEAST,
    REFERENCE,
    REGIONS,
    RIVAL,
    UPSAMPLED,
    UPSAMPLED_RIVAL,
)
from benchmarks.timing import header, markdown_table
from rl.executors.processes import available_cores

HEADLINE = "2x21x512x512"
SHAPES = (HEADLINE, "2x19x512x1024", "1x150x512x512", "16x21x128x128", "8x2x512x512")
"""VOC, Cityscapes and ADE20K in training, the batches of a search's proxies, a binary task."""
QUICK = ("2x21x32x48", "1x150x16x24")
SMP_LOSSES = ("SMP DiceLoss", "SMP JaccardLoss", "SMP LovaszLoss")


@dataclass(frozen=True)
class Bar:
    """What a figure may be at most, in all settings, and what is aimed at.

    loose: the limit where memory is kept or a core is busy.
    """

    what: str
    limit: float
    aim: float | None
    of: Callable[[Run], list[float]]
    loose: float | None = None

    def row(self, runs: Sequence[Run]) -> list[str]:
        """Bar, aim, the worst figure of each run, and whether all keep the bar."""
        found = [self.of(run) for run in runs]
        limits = [self.limit if r.setting.calm else self.loose or self.limit for r in runs]
        kept = [value <= limit for own, limit in zip(found, limits, strict=True) for value in own]
        met = ("yes" if all(kept) else "no") if kept else "-"
        bar = f"≤ {self.limit:g}" + (f" ({self.loose:g})" if self.loose else "")
        figures = [f"{max(own):.2f}" if own else "-" for own in found]
        return [
            self.what,
            bar,
            f"{self.aim:g}" if self.aim else "",
            *figures,
            met,
        ]


KEPT = Bar("kept / logits", 1.03, None, lambda run: run.kept((*REGIONS, *BOUNDARIES, *BANDS)))
BARS = (
    Bar(", ".join(REGIONS), 1.5, 1.0, lambda run: run.ratios(REGIONS), loose=1.6),
    Bar(", ".join(BOUNDARIES), 5, 3, lambda run: run.ratios(BOUNDARIES)),
    Bar(", ".join(BANDS), 6, 4, lambda run: run.ratios(BANDS)),
    Bar("upsampled", 1.0, 0.6, lambda run: run.ratios([UPSAMPLED], [UPSAMPLED_RIVAL])),
    Bar("slowest region / fastest of SMP", 1.0, None, lambda run: run.ratios(REGIONS, SMP_LOSSES)),
    Bar("bfloat16 / float32", 1.0, None, lambda run: run.ratios([HALF], ["mIoU"])),
    Bar(
        "training step, CamVid network",
        1.03,
        1.0,
        lambda run: [run.training[RIVAL] / run.training["mIoU"]] if run.training else [],
    ),
    KEPT,
    Bar("kept / full-size logits, upsampled", 0.08, None, lambda run: run.kept([UPSAMPLED])),
)
CUDA_BARS = (
    Bar(", ".join(REGIONS), 1.0, 0.5, lambda run: run.ratios(REGIONS)),
    Bar("kept / logits", 1.03, None, lambda run: run.kept(REGIONS)),
)
ROWS = {
    **{name: (name, RIVAL) for name in (*REGIONS, *BOUNDARIES, *BANDS, *SMP_LOSSES, REFERENCE)},
    "mIoU, bfloat16 / float32": (HALF, "mIoU"),
    f"{UPSAMPLED} / {UPSAMPLED_RIVAL}": (UPSAMPLED, UPSAMPLED_RIVAL),
    "mIoU / least that must move": ("mIoU", LEAST),
}
"""Rows of a setting's table: whose time over whose; without a rival's name over cross entropy's."""


def bar_table(runs: Sequence[Run], device: str) -> str:
    """Bars and the worst of what was measured, one column per setting."""
    columns = ["at most", "bar", "aim", *(run.setting.name for run in runs), "met"]
    bars = CUDA_BARS if device == "cuda" else BARS
    return markdown_table(columns, [bar.row(runs) for bar in bars])


def time_table(run: Run) -> str:
    """Ratios of a setting, one column per shape."""
    seconds = [figures["seconds"] for figures in run.figures.values()]
    rows = [[f"{name}, ms", *(f"{1000 * s[name]:.1f}" for s in seconds)] for name in (RIVAL, LEAST)]
    for label, (name, rival) in ROWS.items():
        cells = [f"{s[name] / s[rival]:.2f}" if name in s else "-" for s in seconds]
        rows += [[label, *cells]] if set(cells) != {"-"} else []
    return markdown_table([f"time, {run.setting.name}", *_sizes(run)], rows)


def memory_table(run: Run, what: str) -> str:
    """Shares of the logits' bytes, "kept" or "peak", one column per shape."""
    shares = [figures[what] for figures in run.figures.values()]
    names = dict.fromkeys(name for share in shares for name in share)
    rows = [[name, *(f"{s[name]:.3f}" if name in s else "-" for s in shares)] for name in names]
    return markdown_table([f"{what} / logits", *_sizes(run)], rows)


def _sizes(run: Run) -> list[str]:
    return [shape.replace("x", "×") for shape in run.figures]


def paragraphs(runs: Sequence[Run], device: str) -> Iterator[str]:
    """Markdown."""
    yield bar_table(runs, device)
    for found in runs:
        yield time_table(found)
        if found.training:
            each = ", ".join(f"{rate:.1f} with {loss}" for loss, rate in found.training.items())
            yield f"Training of the CamVid network, {found.setting.name}: images per second {each}."
    for what in ("kept", "peak") if device == "cuda" else ("kept",):
        yield memory_table(runs[0], what)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bm_loss",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", action="store_true", help="smoke test: tiny, one thread")
    sizes.add_argument("--headline", action="store_true", help="only the headline shape")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--repeats", type=int, default=9, help="rounds; the median is printed")
    return parser.parse_args(arguments)


def main() -> None:
    """Measure and print."""
    options = parse()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("bm_loss: --device cuda, but PyTorch sees no CUDA device here.")
    shapes = QUICK if options.quick else SHAPES[:1] if options.headline else SHAPES
    chosen = settings(options.device, 1 if options.quick else available_cores())
    chosen = chosen[:1] if options.quick else chosen
    print(header(["segmentation-models-pytorch"]), flush=True)
    print(f"Instruction set: {torch.backends.cpu.get_cpu_capability()}.")
    if find_spec(SMP) is None:
        print(f"\nSMP's losses are left out: {SMP} is not installed here.", flush=True)
    runs = []
    for setting in chosen:
        print(f"bm_loss: {setting.name}", file=sys.stderr, flush=True)
        images = 1 if options.quick else 8
        runs.append(run(setting, shapes, options.device, options.repeats, images))
    for paragraph in paragraphs(runs, options.device):
        print(f"\n{paragraph}", flush=True)


if __name__ == "__main__":
    main()
