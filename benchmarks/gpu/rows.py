"""Rows of the table, and the batches and losses that are looked at.

N: images; C: classes; H, W: pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autoseg_core import AutoSegLoss, LossSpec, SearchSpace
from autoseg_core.scores import METRICS, get_metric
from benchmarks.rivals import VOID, Loss

SURROGATES = (*METRICS, "BF1_difference")
PIXELWISE = [name for name in METRICS if get_metric(name).region in ("image", "trimap")]
"""Metrics whose surrogates Triton computes."""


@dataclass(frozen=True)
class Row:
    """A line of the table. passed: None where no bar is set."""

    check: str
    measured: str
    bar: str
    passed: bool | None


def at_most(check: str, value: float, bar: float, digits: str = ".2f") -> Row:
    """A row of an upper bound; NaN fails."""
    return Row(check, format(value, digits), f"≤ {bar:g}", value <= bar)


def loss_of(metric: str, **options: object) -> AutoSegLoss:
    """A loss with curves somewhere between the identity and the walls of its search space."""
    space = SearchSpace(metric)
    theta = np.random.default_rng(0).uniform(0.2, 0.8, space.dim)
    spec = LossSpec.from_theta("gpu", space, theta, tolerance=3)
    return AutoSegLoss(spec, VOID, **options)  # type: ignore[arg-type]


def batch(shape: tuple[int, ...], device: str, kinds: int | None = None) -> tuple[Tensor, Tensor]:
    """Float32 logits, and labels in blocks of 8 pixels, 5 % void; with ``kinds`` one a class."""
    rng = torch.Generator().manual_seed(0)
    lead = shape[:2] if kinds else shape[:1]
    blocks = torch.randint(
        kinds or shape[1], (*lead, shape[2] // 8 + 1, shape[3] // 8 + 1), generator=rng
    )
    target = blocks.repeat_interleave(8, -1).repeat_interleave(8, -2)[..., : shape[2], : shape[3]]
    void = torch.rand(target.shape, generator=rng) < 0.05
    logits = 2 * torch.randn(shape, generator=rng)
    return logits.to(device), torch.where(void, VOID, target).to(device)


def step(loss: Loss, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The loss and its gradient."""
    logits = logits.detach().requires_grad_()
    value = loss(logits, target)
    return value.detach(), torch.autograd.grad(value, logits)[0]
