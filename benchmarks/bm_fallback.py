"""What losses and exact scores take without the C++ kernels, in plain PyTorch, on one thread.

    python -m benchmarks.bm_fallback [--quick] [--repeats 3]

Prints Markdown. A step is forward and backward; kept: what autograd holds between the two.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch

from autoseg_core import native
from benchmarks.bm_metrics import SMALL, example, ours
from benchmarks.memory import kept_bytes
from benchmarks.steps import BANDS, BOUNDARIES, batch, step, surrogate
from benchmarks.timing import header, markdown_table, median_seconds

METRICS = ("mIoU", "mAcc", "BIoU", *BOUNDARIES, *BANDS)
SHAPE, QUICK = (2, 21, 256, 256), (1, 3, 24, 32)


@contextmanager
def kernels_are(there: bool) -> Iterator[None]:
    """Kernels are looked for, or taken as missing."""
    before, native.CPU = native.CPU, there
    try:
        yield
    finally:
        native.CPU = before


def with_and_without(call: Callable[[], object], repeats: int) -> list[str]:
    """Milliseconds with the kernels and without, and their ratio."""

    def timed(kernels: bool) -> None:
        with kernels_are(kernels):
            call()

    calls = {name: partial(timed, name == "with") for name in ("with", "without")}
    seconds = median_seconds(calls, repeats)
    ratio = seconds["without"] / seconds["with"]
    return [f"{1e3 * s:.1f}" for s in seconds.values()] + [f"{ratio:.0f}"]


def kept_without(loss: torch.nn.Module, logits: torch.Tensor, target: torch.Tensor) -> str:
    """Bytes kept without the kernels, as a multiple of the logits'."""
    with kernels_are(False):
        kept = kept_bytes(partial(loss, logits, target), target)
    return f"{kept / logits.nbytes:.2f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="smoke test: small data")
    options, _ = parser.parse_known_args()
    torch.set_num_threads(1)
    shape, size = (QUICK, (24, 32)) if options.quick else (SHAPE, SMALL)
    logits, target = batch(shape)
    rows = []
    for metric in METRICS:
        loss = surrogate(metric)
        times = with_and_without(partial(step, loss, logits, target), options.repeats)
        rows.append([metric, *times, kept_without(loss, logits, target)])
    maps = example("areas", 21, size)
    times = with_and_without(lambda: ours(*maps, 21).compute(), options.repeats)
    rows.append([f"six exact scores, {size[1]}×{size[0]}", *times, "-"])
    print(f"{header()} Logits {'×'.join(map(str, shape))}; ", end="")
    print(f"{torch.backends.cpu.get_cpu_capability()}.\n")
    columns = ["", "with, ms", "without, ms", "without / with", "kept / logits, without"]
    print(markdown_table(columns, rows))


if __name__ == "__main__":
    main()
