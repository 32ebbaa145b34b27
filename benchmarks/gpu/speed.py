"""Time and memory of a step on a device."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch.nn.functional as F
from torch import Tensor

from benchmarks.gpu.rows import PIXELWISE, SURROGATES, Row, at_most, batch, loss_of, step
from benchmarks.memory import kept_bytes
from benchmarks.rivals import Loss, cross_entropy
from benchmarks.timing import median_seconds, ratios

SHAPES = ((2, 21, 512, 512), (2, 19, 512, 1024), (1, 150, 512, 512), (16, 21, 128, 128))


def speed(device: str) -> Iterator[Row]:
    """Time and memory of a step as multiples of eager cross entropy's."""
    gpu, rounds = device == "cuda", 15 if device == "cuda" else 1
    for shape in SHAPES if gpu else ((1, 21, 32, 48),):
        logits, target = batch(shape, device)
        losses: dict[str, Loss] = {"cross entropy": cross_entropy}
        losses |= {m: loss_of(m).to(device) for m in (*SURROGATES, "BoundaryIoU(radius=3)")}
        calls = {m: partial(step, loss, logits, target) for m, loss in losses.items()}
        seconds = median_seconds(calls, rounds, warmups=3 if gpu else 1)
        times, size = ratios(seconds, "cross entropy"), "×".join(map(str, shape))
        yield Row(f"{size}: cross entropy", f"{1e3 * seconds['cross entropy']:.3f} ms", "-", None)
        for metric, loss in list(losses.items())[1:]:
            row = at_most(f"{size}: {metric} / cross entropy", times[metric], 1.0)
            fast = metric in PIXELWISE and gpu
            yield row if fast else Row(row.check, row.measured, "-", None)
            if metric in PIXELWISE:
                kept = kept_bytes(partial(loss, logits.requires_grad_(), target))
                share = (kept - target.nbytes) / logits.nbytes
                yield at_most(f"{size}: {metric}, kept beside the labels / logits", share, 1.03)
    yield from upsampled_speed(device, rounds)


def upsampled_speed(device: str, rounds: int) -> Iterator[Row]:
    """Logits at stride 4 against interpolation and cross entropy."""
    height, width = (512, 512) if device == "cuda" else (32, 48)
    logits, target = (
        batch((2, 21, height // 4, width // 4), device)[0],
        batch((2, 21, height, width), device)[1],
    )
    ours = loss_of("mIoU", upsample="bilinear").to(device)

    def theirs(logits: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(F.interpolate(logits, target.shape[-2:], mode="bilinear"), target)

    losses: dict[str, Loss] = {"ours": ours, "theirs": theirs}
    calls = {name: partial(step, loss, logits, target) for name, loss in losses.items()}
    ratio = ratios(median_seconds(calls, rounds, warmups=2), "theirs")["ours"]
    row = at_most("mIoU at stride 4 / interpolate + cross entropy", ratio, 1.0)
    yield row if device == "cuda" else Row(row.check, row.measured, "-", None)
