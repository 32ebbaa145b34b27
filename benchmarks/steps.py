"""What a step of each loss takes, in seconds and bytes; run by ``bm_loss``, once per setting.

    python -m benchmarks.steps --threads 2 --repeats 9 2x21x512x512 ...

Prints JSON: what it takes by shape and name. A step is forward and backward.

N: images; C: classes; H, W: pixels.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoseg_core import AutoSegLoss, LossSpec, SearchSpace
from benchmarks.memory import kept_bytes, peak_bytes
from benchmarks.rivals import VOID, Loss, cross_entropy, interpolated_cross_entropy, smp_losses
from benchmarks.timing import median_seconds

RIVAL, UPSAMPLED_RIVAL = "cross entropy", "interpolation + cross entropy"
REGIONS = ("mIoU", "FWIoU", "mAcc", "gAcc", "BIoU", "Dice")
BOUNDARIES = ("BF1", "BF1_difference")
BANDS = ("BoundaryIoU(radius=3)",)
UPSAMPLED, HALF, REFERENCE = "mIoU, upsampled", "mIoU, bfloat16", "mIoU, reference"
LEAST = "least that must move"
SLOW = 2**24
"""Logits up to which slow contenders are measured; the reference keeps 45 to 100 times as much."""


def batch(shape: tuple[int, ...], device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Logits that are right for most pixels, and labels in blocks of 16 pixels, 5 % void."""
    images, classes, height, width = shape
    rng = torch.Generator().manual_seed(0)
    blocks = torch.randint(classes, (images, -(-height // 16), -(-width // 16)), generator=rng)
    target = blocks.repeat_interleave(16, 1).repeat_interleave(16, 2)[:, :height, :width].clone()
    logits = torch.randn(shape, generator=rng)
    logits.scatter_add_(1, target[:, None], torch.full((images, 1, height, width), 3.0))
    target[torch.rand(target.shape, generator=rng) < 0.05] = VOID
    return logits.to(device).requires_grad_(), target.to(device)


def surrogate(metric: str, device: str = "cpu", **options: Any) -> AutoSegLoss:
    """A loss with curves somewhere between the identity and the walls of its search space."""
    space = SearchSpace(metric)
    theta = np.random.default_rng(0).uniform(0.2, 0.8, space.dim)
    spec = LossSpec.from_theta("measured", space, theta)
    return AutoSegLoss(spec, VOID, **options).to(device)


def contenders(logits: Tensor) -> dict[str, tuple[Loss, Tensor]]:
    """Losses by name, each with its logits."""
    device = logits.device.type
    small = F.avg_pool2d(logits, 4).detach().requires_grad_()
    half = logits.detach().bfloat16().requires_grad_()
    return {
        RIVAL: (cross_entropy, logits),
        **{name: (surrogate(name, device), logits) for name in (*REGIONS, *BOUNDARIES, *BANDS)},
        HALF: (surrogate("mIoU", device), half),
        UPSAMPLED_RIVAL: (interpolated_cross_entropy, small),
        UPSAMPLED: (surrogate("mIoU", device, upsample="bilinear"), small),
    }


def slow_contenders(logits: Tensor) -> dict[str, tuple[Loss, Tensor]]:
    """SMP's losses, where SMP is installed, and ours in plain PyTorch."""
    ours = surrogate("mIoU", logits.device.type, backend="reference")
    losses: dict[str, Loss] = {**smp_losses(), REFERENCE: ours}
    for loss in losses.values():
        if isinstance(loss, nn.Module):
            loss.to(logits.device)
    return {name: (loss, logits) for name, loss in losses.items()}


def step(loss: Loss, logits: Tensor, target: Tensor) -> None:
    """Forward and backward; the gradient is thrown away."""
    torch.autograd.grad(loss(logits, target), logits)


def measure(
    shape: tuple[int, ...], device: str, repeats: int, with_slow: bool = False
) -> dict[str, dict[str, float]]:
    """Of one batch: "seconds" by name; "kept" and, on a GPU, "peak", as shares of the logits.

    Slow contenders, if wanted and up to ``SLOW`` logits, run in fewer rounds, of their own: among
    them the others would find their data gone from the cache.
    """
    logits, target = batch(shape, device)
    fast = contenders(logits)
    slow = slow_contenders(logits) if with_slow and logits.numel() <= SLOW else {}
    all_of_them = fast | slow
    calls = {name: partial(step, *pair, target) for name, pair in all_of_them.items()}
    copy = partial(torch.empty_like(logits).copy_, logits.detach())
    rounds: dict[str, Callable[[], object]] = {name: calls[name] for name in fast}
    seconds = median_seconds({**rounds, LEAST: copy}, repeats)
    seconds |= median_seconds({name: calls[name] for name in slow}, min(repeats, 3), warmups=0)
    # A copy reads and writes; a step reads the logits twice, writes a gradient, reads labels twice.
    seconds[LEAST] *= (3 * logits.nbytes + 2 * target.nbytes) / (2 * logits.nbytes)
    figures = {"seconds": seconds}
    figures["kept"] = {
        name: kept_bytes(partial(loss, given, target), target) / logits.nbytes
        for name, (loss, given) in all_of_them.items()
        if name != HALF
    }
    if logits.is_cuda:
        figures["peak"] = {name: peak_bytes(call) / logits.nbytes for name, call in calls.items()}
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steps", description=__doc__)
    parser.add_argument("shapes", nargs="+", help="such as 2x21x512x512")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--slow", action="store_true", help="SMP's losses and the reference too")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    shapes = {text: tuple(map(int, text.split("x"))) for text in options.shapes}
    given = (options.device, options.repeats, options.slow)
    print(json.dumps({text: measure(shape, *given) for text, shape in shapes.items()}))


if __name__ == "__main__":
    main()
