"""The losses on a device against their reference, and the exact metrics against the CPU's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from autoseg_core import AutoSegLoss, SegmentationScores
from autoseg_core.scores import METRICS
from benchmarks.gpu.rows import PIXELWISE, SURROGATES, Row, at_most, batch, loss_of, step
from benchmarks.rivals import VOID

CLASSES = (2, 19, 21, 150, 256)
LAYOUTS = (torch.contiguous_format, torch.channels_last)


def distance(
    loss: Callable[..., AutoSegLoss], logits: Tensor, target: Tensor
) -> tuple[float, float]:
    """What value and gradient are off the reference in float64; the latter of its largest entry."""
    value, gradient = step(loss().to(logits.device), logits, target)
    exact, slope = step(loss(backend="reference").to(logits.device), logits.double(), target)
    worst = (gradient.double() - slope).abs().max() / slope.abs().max()
    return float((value - exact).abs()), float(worst)


def worst_of(*pairs: tuple[float, float]) -> tuple[float, float]:
    """The largest value and gradient; NaN where one is, which max() of Python may miss."""
    value, gradient = torch.tensor(pairs).amax(0).tolist()
    return value, gradient


def parity(device: str) -> Iterator[Row]:
    """Kernels against the reference: every metric, number of classes, dtype and layout."""
    # Every entry is a kernel or more to compile: not all layouts go with all classes.
    odd, even = ((37, 53), (64, 64)) if device == "cuda" else ((9, 13), (8, 16))
    shapes = [(count, odd, LAYOUTS[0]) for count in (CLASSES if device == "cuda" else (2, 21))]
    shapes += [(21, odd, LAYOUTS[1]), (21, even, LAYOUTS[0])]
    for name, kind, bar in (
        ("float32", torch.float32, 1e-5),
        ("bfloat16", torch.bfloat16, 1e-2),
        ("float16", torch.float16, 2e-3),
    ):
        found = [
            distance(partial(loss_of, metric), logits.to(kind, memory_format=layout), target)
            for metric in PIXELWISE
            for count, size, layout in shapes
            for logits, target in [batch((2, count, *size), device)]
        ]
        yield from both(f"image and trimap metrics, {name}", worst_of(*found), bar)
    yield from special_parity(device)


def both(name: str, found: tuple[float, float], bar: float) -> Iterator[Row]:
    """Rows of a value, which must be the reference's to 1e-5, and of a gradient."""
    yield at_most(f"{name}: value off the reference", found[0], 1e-5, ".1e")
    yield at_most(f"{name}: gradient off the reference", found[1], bar, ".1e")


def special_parity(device: str) -> Iterator[Row]:
    """Sigmoids, upsampled logits, edges and bands, a batch of void alone."""
    logits, target = batch((2, 5, 37, 53), device, kinds=2)
    options = {"activation": "sigmoid"}
    yield from both("sigmoid", distance(partial(loss_of, "mIoU", **options), logits, target), 1e-5)
    small, large = batch((2, 21, 12, 16), device)[0], batch((2, 21, 48, 61), device)[1]
    for align in (False, True):
        loss = partial(loss_of, "BIoU", upsample="bilinear", align_corners=align)
        name = f"upsampled on the way, align_corners={align}"
        yield from both(name, distance(loss, small, large), 1e-5)
    for metric in ("BF1", "BF1_difference", "BoundaryIoU(radius=3)"):
        found = distance(partial(loss_of, metric), *batch((2, 21, 37, 53), device))
        yield from both(metric, found, 1e-3)
    logits, target = batch((2, 21, 37, 53), device)
    nothing = torch.full_like(logits, torch.nan)
    void = torch.full_like(target, VOID)
    steps = [step(loss_of(m).to(device), nothing, void) for m in SURROGATES]
    zero = all(float(value) == 0 and not gradient.any() for value, gradient in steps)
    yield Row("all void, NaN logits, every metric", "0, gradient 0" if zero else "not 0", "0", zero)


def exact(device: str) -> Iterator[Row]:
    """Exact metrics on the device and on the CPU: the same integers."""
    target = batch((2, 21, 96, 128), "cpu")[1]
    guess = torch.where(target == VOID, 0, target).roll(2, -1)
    different = 0
    for protocol in ("strict", "paper"):
        found = []
        for place in (device, "cpu"):
            names = (*METRICS, "BoundaryIoU(radius=3)")
            scores = SegmentationScores(21, VOID, protocol=protocol, metrics=names)
            scores.update(guess.to(place), target.to(place))
            found.append([torch.stack(list(c.tensors())) for c in scores.counts.values()])
        different += sum(not torch.equal(a, b) for a, b in zip(*found, strict=True))
    yield Row("exact counts that differ from the CPU's", str(different), "0", different == 0)
