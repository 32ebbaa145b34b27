"""The network of the proxy `shapes`, its training, its scores and its warm start.

Everything draws from its own generators; torch's global generator is not used.

Letters: N images, C classes, H, W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoseg_core import PAPER_METRICS, SegmentationScores
from rl.proxies.shape_images import CLASSES, VOID, draw_sample

SIDE = 32
"""Height and width of every image, pixels: every second pixel of a drawing twice as large."""
TRAIN, VALIDATION = 96, 64  # number of images in each set
DATA_SEED = 0  # every search sees the same images
WARM_ITERATIONS, WARM_LR, WARM_SEED = 60, 0.2, 0
BATCH, MOMENTUM = 16, 0.9
TOLERANCE = 1  # tolerance of boundary metrics, pixels; the images are 32 pixels wide

Loss = Callable[[Tensor, Tensor], Tensor]


class Images(NamedTuple):
    """One set of images.

    pixels: (N, 3, H, W) float32, RGB, of about zero mean and unit deviation. labels: (N, H, W)
    int64, in [0, C) or VOID.
    """

    pixels: Tensor
    labels: Tensor


@lru_cache(maxsize=1)
def image_sets() -> tuple[Images, Images]:
    """The training and the validation set, disjoint; made once per process; do not modify."""
    samples = [draw_sample(2 * SIDE, 2 * SIDE, [DATA_SEED, i]) for i in range(TRAIN + VALIDATION)]
    images, labels = (np.stack(arrays)[:, ::2, ::2] for arrays in zip(*samples, strict=True))
    pixels = (torch.from_numpy(images).permute(0, 3, 1, 2).float() - 128) / 48
    targets = torch.from_numpy(labels.astype(np.int64))
    return Images(pixels[:TRAIN], targets[:TRAIN]), Images(pixels[TRAIN:], targets[TRAIN:])


class Network(nn.Module):
    """14 743 weights; two levels of resolution, so that thin objects stay sharp."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Conv2d(3, 16, 3, padding=1)
        self.coarse = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.context = nn.Conv2d(32, 32, 3, padding=2, dilation=2)
        self.norm = nn.GroupNorm(8, 32)
        self.head = nn.Conv2d(48, len(CLASSES), 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels (N, 3, H, W) float32 -> logits (N, C, H, W)."""
        fine = F.relu(self.fine(pixels))
        coarse = F.relu(self.norm(self.context(F.relu(self.coarse(fine)))))
        wide = F.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False)
        logits: Tensor = self.head(torch.cat([fine, wide], dim=1))
        return logits


@lru_cache(maxsize=16)
def warm_start(
    metrics: tuple[str, ...] = PAPER_METRICS,
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """The weights that every training starts from, and their scores; do not modify.

    Trained with cross entropy at first use in a process, from He's normal initialisation.
    """
    network, generator = empty_network(), torch.Generator().manual_seed(WARM_SEED)
    for name, weight in network.named_parameters():
        if weight.ndim > 1:
            nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)
        else:
            nn.init.constant_(weight, 1.0 if name == "norm.weight" else 0.0)
    loss, steps = nn.CrossEntropyLoss(ignore_index=VOID), range(WARM_ITERATIONS)
    rates = [WARM_LR * (1.0 - i / WARM_ITERATIONS) ** 0.9 for i in steps]
    with one_thread():
        descend(network, make_optimizer(network), loss, WARM_SEED, steps, rates)
        return dict(network.state_dict()), score(network, metrics)


def empty_network() -> Network:
    """A network whose weights have yet to be loaded."""
    # On the meta device a layer draws no weights: torch's global generator is not touched.
    with torch.device("meta"):
        network = Network()
    return network.to_empty(device="cpu")


def make_optimizer(network: Network) -> torch.optim.SGD:
    """SGD with momentum, in its initial state."""
    return torch.optim.SGD(network.parameters(), momentum=MOMENTUM)


def descend(
    network: Network,
    optimizer: torch.optim.SGD,
    loss: Loss,
    seed: int,
    iterations: Iterable[int],
    rates: Iterable[float],
) -> float:
    """Run these iterations at these learning rates; their mean loss, NaN if there are none.

    Batches depend on (seed, iteration): each epoch is a new permutation of all images, in batches.
    FloatingPointError if a loss or the final weights are not finite.
    """
    images, losses = image_sets()[0], []
    for iteration, rate in zip(iterations, rates, strict=True):
        epoch, place = divmod(iteration, TRAIN // BATCH)
        order = np.random.default_rng([seed, epoch]).permutation(TRAIN)
        batch = torch.from_numpy(order[place * BATCH : (place + 1) * BATCH])
        with torch.enable_grad():  # an agent's code may have disabled gradients
            value = loss(network(images.pixels[batch]), images.labels[batch])
        if not value.isfinite():
            raise FloatingPointError(f"the loss is {value.item()} at iteration {iteration}")
        optimizer.zero_grad()
        value.backward()
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        losses.append(value.item())
    if not all(weight.isfinite().all() for weight in network.parameters()):
        raise FloatingPointError("weights are not finite")
    return sum(losses) / len(losses) if losses else math.nan


@torch.no_grad()
def score(network: Network, metrics: Sequence[str] = PAPER_METRICS) -> dict[str, float]:
    """Exact scores on the validation images, in [0, 1]."""
    images = image_sets()[1]
    scores = SegmentationScores(len(CLASSES), VOID, TOLERANCE, metrics=metrics)
    scores.update(network(images.pixels).argmax(dim=1), images.labels)
    return scores.compute()


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread: sums split among several threads round differently."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
