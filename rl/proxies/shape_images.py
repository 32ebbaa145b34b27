"""Small generated images with labels, on which the choice of the loss matters.

A noisy background under most pixels; large discs and squares of the same colours, told apart by a
faint texture; thin bars and rare dots of another colour, which the background's unlabelled specks
wear too. So the right label is at times a matter of odds, and a loss decides what to do with odds.
About half of the objects wear a void rim, as in VOC.

Letters: N images, H, W pixels (both SIDE), C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CLASSES = ("background", "disc", "square", "bar", "dot")
VOID = 255
SIDE = 32
"""Height and width of every image, pixels."""
TRAIN, VALIDATION = 96, 64
"""Images of each set."""
CONTRAST = 1 / 3
"""Scale of the colours below; what the network sees is divided by it."""
DATA_SEED = 0
"""Every search sees the same images."""

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Images(NamedTuple):
    """One set.

    pixels: (N, 3, H, W) float32, RGB, of about zero mean and unit deviation. labels: (N, H, W)
    int64, in [0, C) or VOID.
    """

    pixels: Tensor
    labels: Tensor


class Kind(NamedTuple):
    """A class of objects: in ``share`` of the images, up to ``most`` of them."""

    label: int
    draw: Callable[[np.random.Generator], Mask]
    share: float
    most: int
    colour: tuple[float, float, float]
    texture: float


@lru_cache(maxsize=1)
def image_sets() -> tuple[Images, Images]:
    """The training and the validation set, disjoint; made once a process, not to be changed."""
    samples = [_sample(np.random.default_rng([DATA_SEED, i])) for i in range(TRAIN + VALIDATION)]
    pixels = torch.from_numpy(np.stack([image for image, _ in samples]).astype(np.float32))
    pixels /= CONTRAST
    labels = torch.from_numpy(np.stack([label for _, label in samples]))
    return Images(pixels[:TRAIN], labels[:TRAIN]), Images(pixels[TRAIN:], labels[TRAIN:])


def _axes(rng: np.random.Generator) -> tuple[Array, Array]:
    """Pixel coordinates in the axes of an object at a random place, (H, W) each, pixels."""
    y, x = np.mgrid[:SIDE, :SIDE] - rng.uniform(0, SIDE, (2, 1, 1))
    angle = rng.uniform(0, np.pi)
    return np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x


def _disc(rng: np.random.Generator) -> Mask:
    u, v = _axes(rng)
    return u**2 + v**2 <= rng.uniform(5, 9) ** 2


def _square(rng: np.random.Generator) -> Mask:
    u, v = _axes(rng)
    return np.maximum(np.abs(u), np.abs(v)) <= rng.uniform(3, 6)


def _bar(rng: np.random.Generator) -> Mask:
    u, v = _axes(rng)
    return (np.abs(u) <= rng.uniform(5, 12)) & (np.abs(v) <= 1.0)


def _dot(rng: np.random.Generator) -> Mask:
    u, v = _axes(rng)
    return u**2 + v**2 <= rng.uniform(1.5, 2.5) ** 2


# Small ones last, or the large ones would cover them.
KINDS = (
    Kind(1, _disc, 0.7, 2, (0.35, 0.0, -0.25), 0.0),
    Kind(2, _square, 0.5, 2, (0.35, 0.0, -0.25), 0.35),
    Kind(3, _bar, 0.5, 2, (0.1, 0.35, 0.35), 0.0),
    Kind(4, _dot, 0.3, 2, (0.1, 0.35, 0.35), 0.0),
)


def _sample(rng: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
    """One image (3, H, W) and its labels (H, W)."""
    image, label = _background(rng), np.zeros((SIDE, SIDE), dtype=np.int64)
    for kind in KINDS:
        if rng.random() >= kind.share:
            continue
        for _ in range(int(rng.integers(1, kind.most + 1))):
            mask = kind.draw(rng)
            image = np.where(mask, _surface(rng, kind), image)
            if rng.random() < 0.5:
                label[_grown(mask)] = VOID
            label[mask] = kind.label
    return image + rng.normal(0.0, 0.15, image.shape), label


def _background(rng: np.random.Generator) -> Array:
    """(3, H, W): one colour, and a few faint specks in the colour of bars and dots."""
    image = np.broadcast_to(rng.normal(0.0, 0.12, (3, 1, 1)), (3, SIDE, SIDE))
    for draw in (_dot, _dot, _bar):
        colour = np.reshape(KINDS[-1].colour, (3, 1, 1))
        image = np.where(draw(rng), image + rng.uniform(0.2, 0.8) * (colour - image), image)
    return image


def _surface(rng: np.random.Generator, kind: Kind) -> Array:
    """(3, H, W): the colour of one object, with stripes two pixels apart."""
    colour = np.reshape(kind.colour, (3, 1, 1)) + rng.normal(0.0, 0.08, (3, 1, 1))
    stripes = np.where(np.mgrid[:SIDE, :SIDE].sum(axis=0) % 4 < 2, 0.5, -0.5)
    surface: Array = colour + kind.texture * rng.uniform(0.3, 1.0) * stripes
    return surface


def _grown(mask: Mask) -> Mask:
    """The mask and its four neighbours."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown
