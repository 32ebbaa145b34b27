"""Time and memory of the losses as multiples of cross entropy.

    python -m benchmarks.bm_loss [--quick] [--device cuda] [--backends fused compiled] [--threads 1]

Prints Markdown: for each shape of a batch one table with a row for each loss and backend. "Time" is
that of forward and backward together; "kept" is what autograd holds between the two, the logits
included where they are held; "peak", on a GPU, is the most that a step takes. Before the table of
the headline shape stands what the project promises of it.

N: images; C: classes; H, W: pixels.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod

import torch
from torch import Tensor, nn

from autoseg_core.surrogates.counting import BACKENDS
from benchmarks.contenders import RIVAL, Contender, contenders, usable_backends
from benchmarks.memory import kept_bytes, peak_bytes
from benchmarks.rivals import SMP, VOID, Loss, smp_losses
from benchmarks.timing import available_cores, header, markdown_table, median_seconds, ratios

Shape = tuple[int, int, int, int]
HEADLINE: Shape = (2, 21, 512, 512)
SHAPES: tuple[Shape, ...] = (HEADLINE, (2, 19, 512, 1024), (1, 150, 512, 512), (16, 21, 128, 128))
"""VOC, Cityscapes and ADE20K in training, and the batches of a search's proxies."""
MOST = 2**24
"""Logits up to which the reference is measured: it keeps 32 times as much, of BF1 78 times."""
QUICK: tuple[Shape, ...] = ((2, 21, 32, 48), (1, 150, 16, 24))


@dataclass(frozen=True)
class Entry:
    """What a loss took: time as a multiple of cross entropy's, memory of the logits' bytes."""

    contender: Contender
    time: float
    kept: float
    peak: float | None
    seconds: float

    def cells(self) -> list[str]:
        """The row of the table, as text."""
        peak = [] if self.peak is None else [f"{self.peak:.2f}"]
        ratios = [f"{self.time:.2f}", f"{self.kept:.2f}", *peak]
        return [self.contender.name, *ratios, f"{1000 * self.seconds:.1f}"]


@dataclass(frozen=True)
class Promise:
    """An upper bound on a figure of the headline shape, and the rows it is promised of."""

    what: str
    bar: float
    figure: Callable[[Entry], float]
    of: Callable[[Contender], bool]


PROMISES = (
    Promise(
        "time, compiled, metrics of the whole image",
        2.5,
        lambda entry: entry.time,
        lambda c: c.region == "image" and c.backend == "compiled",
    ),
    Promise(
        "time, fused, metrics of the whole image",
        8.0,
        lambda entry: entry.time,
        lambda c: c.region == "image" and c.backend == "fused",
    ),
    Promise(
        "kept, metrics of the image or its trimap",
        1.1,
        lambda entry: entry.kept,
        lambda c: c.region in ("image", "trimap") and c.backend != "reference",
    ),
    Promise(
        "kept, metrics of boundaries",
        3.0,
        lambda entry: entry.kept,
        lambda c: c.region == "boundary" and c.backend != "reference",
    ),
)


def batch(shape: Shape, device: str) -> tuple[Tensor, Tensor]:
    """Logits that are right for most pixels, and labels in blocks of 16 pixels, 5 % void."""
    images, classes, height, width = shape
    rng = torch.Generator().manual_seed(0)
    blocks = torch.randint(classes, (images, -(-height // 16), -(-width // 16)), generator=rng)
    target = blocks.repeat_interleave(16, 1).repeat_interleave(16, 2)[:, :height, :width].clone()
    logits = torch.randn(shape, generator=rng)
    logits.scatter_add_(1, target[:, None], torch.full((images, 1, height, width), 3.0))
    target[torch.rand(target.shape, generator=rng) < 0.05] = VOID
    return logits.to(device), target.to(device)


def measure(shape: Shape, backends: Sequence[str], device: str, repeats: int) -> list[Entry]:
    """All contenders on one batch."""
    logits, target = batch(shape, device)
    logits.requires_grad_()
    entrants = contenders(backends)
    steps = {c.name: partial(step, placed(c.loss, device), logits, target) for c in entrants}
    slow = {c.name for c in entrants if c.backend == "reference"}
    fast = {name: call for name, call in steps.items() if name not in slow}
    # The slow ones in rounds of their own, and fewer: among them a cross entropy of a millisecond
    # would find its data gone from the cache.
    seconds = median_seconds(fast, repeats)
    seconds |= median_seconds({name: steps[name] for name in slow}, min(repeats, 3))
    times = ratios(seconds, RIVAL)

    def entry(contender: Contender) -> Entry:
        name = contender.name
        kept = kept_bytes(partial(contender.loss, logits, target))
        peak = peak_bytes(steps[name]) if logits.is_cuda else None
        share = None if peak is None else peak / logits.nbytes
        return Entry(contender, times[name], kept / logits.nbytes, share, seconds[name])

    return [entry(contender) for contender in entrants]


def placed(loss: Loss, device: str) -> Loss:
    """The loss on the device."""
    return loss.to(device) if isinstance(loss, nn.Module) else loss


def step(loss: Loss, logits: Tensor, target: Tensor) -> None:
    """Forward and backward; the gradient is thrown away."""
    torch.autograd.grad(loss(logits, target), logits)


def promise_table(entries: Iterable[Entry]) -> str:
    """Bars and the worst of what was measured; a promise of rows that are not there is left out."""
    rows = []
    for promise in PROMISES:
        figures = [promise.figure(entry) for entry in entries if promise.of(entry.contender)]
        if figures:
            worst = max(figures)
            met = "yes" if worst <= promise.bar else "no"
            rows.append([promise.what, f"{worst:.2f}", f"≤ {promise.bar:g}", met])
    return markdown_table(["promised", "measured, worst", "bar", "met"], rows)


def result_table(entries: Sequence[Entry]) -> str:
    """One row for each contender, ratios first."""
    peak = [] if entries[0].peak is None else ["peak / logits"]
    columns = ["loss", "time / cross entropy", "kept / logits", *peak, "ms"]
    return markdown_table(columns, [entry.cells() for entry in entries])


def paragraphs(
    shapes: Sequence[Shape], backends: Sequence[str], device: str, repeats: int
) -> Iterator[str]:
    """Markdown, each paragraph as soon as it is known."""
    for shape in shapes:
        lean = [name for name in backends if name != "reference"]
        entries = measure(shape, backends if prod(shape) <= MOST else lean, device, repeats)
        yield f"N×C×H×W = {'×'.join(map(str, shape))}, {device}:"
        if shape == HEADLINE and device == "cpu":
            yield promise_table(entries)
        yield result_table(entries)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bm_loss",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", action="store_true", help="tiny batches: does it run?")
    sizes.add_argument("--headline", action="store_true", help="the headline shape alone")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    known = [name for name in BACKENDS if name != "auto"]
    parser.add_argument("--backends", nargs="+", choices=known, help="default: all usable")
    parser.add_argument("--repeats", type=int, default=9, help="rounds; their median is told")
    parser.add_argument("--threads", type=int, default=available_cores(), help="default: all")
    return parser.parse_args(arguments)


def main() -> None:
    """Measure and print."""
    options = parse()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("bm_loss: --device cuda, but PyTorch sees no CUDA device here.")
    torch.set_num_threads(options.threads)
    shapes = QUICK if options.quick else SHAPES[:1] if options.headline else SHAPES
    backends = options.backends or usable_backends(options.device)
    print(header(["segmentation-models-pytorch"]), flush=True)
    if not smp_losses():
        print(f"\nSMP's losses are left out: {SMP} is not installed here.", flush=True)
    for paragraph in paragraphs(shapes, backends, options.device, options.repeats):
        print(f"\n{paragraph}", flush=True)


if __name__ == "__main__":
    main()
