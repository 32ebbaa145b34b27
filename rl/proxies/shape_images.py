"""Drawing generated images with labels, for which the choice of the loss matters.

A textured background under most pixels; large textured ellipses and polygons of the same colours,
told apart by texture and outline only; medium squares; bars 2-3 px thin; tiny discs; and a rare,
small triangle that has the colours of the squares. Textures fade at random, and the background
carries faint unlabelled marks that look like the small objects. So some pixels are ambiguous, and a
loss decides how to resolve them: cross entropy sacrifices the rare classes, other losses need not.
About half of the objects have a void rim, as in VOC. The other half do not, so that boundary
metrics have edges between two labelled pixels.

Images are drawn with additions, multiplications, square roots and comparisons only: no sine, no
matrix product, nothing that CPUs round differently. So equal arguments give the same bytes on every
machine.

It needs only NumPy and imports nothing from the package: datasets/make_shapes.py loads it by its
path, without torch.

Letters: H, W image size; images are (H, W, 3) uint8 RGB, labels (H, W) uint8, masks (H, W) bool.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

VERSION = 1
"""Version of the drawing: raise it when a pixel changes, so that older sets are recognised."""
CLASSES = ("background", "ellipse", "polygon", "square", "bar", "disc", "triangle")
VOID = 255

EARTH, SEA, SAND = (150, 105, 80), (80, 110, 160), (225, 210, 150)  # colour families, RGB

Array = NDArray[Any]


# --- numbers and fields -------------------------------------------------------------------------


def _uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(rng.random())


def _direction(rng: np.random.Generator) -> tuple[float, float]:
    """A uniform unit vector, by rejection: sine and cosine are not the same on every machine."""
    while True:
        x, y = _uniform(rng, -1, 1), _uniform(rng, -1, 1)
        if 0.01 < (square := x * x + y * y) <= 1:
            return x / math.sqrt(square), y / math.sqrt(square)


def _noise(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Bell-shaped noise of mean 0 and standard deviation 1: a sum of three uniforms."""
    total: Array = rng.random(shape) + rng.random(shape) + rng.random(shape)
    return 2 * (total - 1.5)


def _smooth(rng: np.random.Generator, height: int, width: int, cell: int) -> Array:
    """Cloudy noise, (H, W) about [-2, 2]: a coarse grid of noise, interpolated bilinearly."""
    grid = _noise(rng, (height // cell + 2, width // cell + 2))
    y, x = np.arange(height), np.arange(width)
    fy, fx = (y % cell / cell)[:, None], (x % cell / cell)[None, :]
    rows, columns = (y // cell)[:, None], (x // cell)[None, :]
    top = grid[rows, columns] * (1 - fx) + grid[rows, columns + 1] * fx
    bottom = grid[rows + 1, columns] * (1 - fx) + grid[rows + 1, columns + 1] * fx
    return top * (1 - fy) + bottom * fy


def _wave(phase: Array) -> Array:
    """Triangle wave of period 1, range [-1, 1]."""
    wave: Array = 4 * np.abs(phase - np.floor(phase) - 0.5) - 1
    return wave


def _blur(image: Array) -> Array:
    """3x3 binomial blur of (H, W, 3): the camera's, and the anti-aliasing of the drawn masks."""
    p = np.pad(image, ((1, 1), (0, 0), (0, 0)), mode="edge")
    p = (p[:-2] + 2 * p[1:-1] + p[2:]) / 4
    p = np.pad(p, ((0, 0), (1, 1), (0, 0)), mode="edge")
    blurred: Array = (p[:, :-2] + 2 * p[:, 1:-1] + p[:, 2:]) / 4
    return blurred


def _dilate(mask: Array, times: int) -> Array:
    """The mask dilated by its four-neighbours, this many times."""
    for _ in range(times):
        p = np.pad(mask, 1)
        mask = mask | p[2:, 1:-1] | p[:-2, 1:-1] | p[1:-1, 2:] | p[1:-1, :-2]
    return mask


# --- objects ------------------------------------------------------------------------------------


class Frame(NamedTuple):
    """Pixel coordinates in an object's axes: (H, W) each, px, origin at its centre."""

    u: Array
    v: Array


def _frame(rng: np.random.Generator, height: int, width: int) -> Frame:
    cy, cx = _uniform(rng, 0, height), _uniform(rng, 0, width)
    ax, ay = _direction(rng)
    y, x = np.arange(height)[:, None] - cy, np.arange(width)[None, :] - cx
    return Frame(ax * x + ay * y, ax * y - ay * x)


def _ellipse(rng: np.random.Generator, f: Frame) -> Array:
    a, b = _uniform(rng, 16, 30), _uniform(rng, 11, 20)
    return (f.u / a) ** 2 + (f.v / b) ** 2 <= 1


def _polygon(rng: np.random.Generator, f: Frame) -> Array:
    """Intersection of 5 half planes."""
    mask = np.abs(f.u) + np.abs(f.v) <= 40
    for _ in range(5):
        nx, ny = _direction(rng)
        mask &= nx * f.u + ny * f.v <= _uniform(rng, 10, 24)
    return mask


def _square(rng: np.random.Generator, f: Frame) -> Array:
    a, b = _uniform(rng, 6, 11), _uniform(rng, 6, 11)
    return (np.abs(f.u) <= a) & (np.abs(f.v) <= b)


def _bar(rng: np.random.Generator, f: Frame) -> Array:
    """2-3 px thin, 24-70 px long."""
    half, length = _uniform(rng, 1.0, 1.6), _uniform(rng, 12, 35)
    return (np.abs(f.v) <= half) & (np.abs(f.u) <= length)


def _disc(rng: np.random.Generator, f: Frame) -> Array:
    """4-8 px across."""
    r = _uniform(rng, 2, 4)
    mask: Array = f.u * f.u + f.v * f.v <= r * r
    return mask


def _triangle(rng: np.random.Generator, f: Frame) -> Array:
    """14-22 px sides: equilateral, of inscribed radius r."""
    r, root3 = _uniform(rng, 4, 6.5), math.sqrt(3)
    return (f.v <= r) & (root3 * f.u - f.v <= 2 * r) & (-root3 * f.u - f.v <= 2 * r)


def _stripes(rng: np.random.Generator, f: Frame) -> Array:
    return _wave(f.u / _uniform(rng, 5, 9))


def _checks(rng: np.random.Generator, f: Frame) -> Array:
    period = _uniform(rng, 6, 10)
    return _wave(f.u / period) * _wave(f.v / period)


Draw = Callable[[np.random.Generator, Frame], Array]


class Kind(NamedTuple):
    """A class's look and frequency: in `share` of the images, then this many times.

    `shape` gives the mask (H, W) of an object, `texture` (H, W) in [-1, 1] what is added to its
    colour, at a strength of [0, `strength`].
    """

    label: int
    shape: Draw
    family: tuple[int, int, int]
    texture: Draw | None
    strength: float
    share: float
    times: tuple[int, int]
    rim: int  # width of the void rim in px, if the object has one


ELLIPSE = Kind(1, _ellipse, EARTH, _stripes, 30, 0.75, (1, 2), rim=2)
POLYGON = Kind(2, _polygon, EARTH, _checks, 40, 0.55, (1, 2), rim=2)
SQUARE = Kind(3, _square, SEA, lambda rng, f: _noise(rng, f.u.shape), 16, 0.55, (1, 2), rim=1)
BAR = Kind(4, _bar, SAND, None, 0, 0.60, (1, 3), rim=1)
DISC = Kind(5, _disc, SAND, None, 0, 0.50, (3, 7), rim=1)
TRIANGLE = Kind(6, _triangle, SEA, lambda rng, f: _wave(f.u / 4), 20, 0.14, (1, 2), rim=1)
# In drawing order: small objects on top, or the large ones would hide them.
KINDS = (ELLIPSE, POLYGON, SQUARE, TRIANGLE, BAR, DISC)
MARKS = (SQUARE, BAR, DISC, DISC, TRIANGLE)  # unlabelled look-alikes
RIM_SHARE = 0.5


def _base(rng: np.random.Generator, family: tuple[int, int, int], spread: float = 28) -> Array:
    """A colour of the family, (3,): brightness varies more than hue."""
    return np.array(family) + _uniform(rng, -spread, spread) + _noise(rng, (3,)) * (spread / 4)


def _draw(rng: np.random.Generator, kind: Kind, height: int, width: int) -> tuple[Array, Array]:
    """An object's mask (H, W), and its colours before light and noise, (H, W, 3) or (3,)."""
    f = _frame(rng, height, width)
    mask = kind.shape(rng, f)
    if kind.texture is None:
        return mask, _base(rng, kind.family)
    texture, base = kind.texture(rng, f), _base(rng, kind.family)
    return mask, base + _uniform(rng, 0, kind.strength) * texture[:, :, None]


# --- an image -----------------------------------------------------------------------------------


def _background(rng: np.random.Generator, height: int, width: int) -> Array:
    """(H, W, 3): clouds, fine grain, and faint marks that only look like objects."""
    clouds = 16 * _smooth(rng, height, width, 24) + 9 * _smooth(rng, height, width, 6)
    image: Array = _base(rng, (125, 130, 115), 35) + clouds[:, :, None]
    image = image + 5 * _noise(rng, (height, width, 1))
    for kind in MARKS:
        mask, colour = _draw(rng, kind, height, width)
        strength = _uniform(rng, 0.1, 0.5)
        image = np.where(mask[:, :, None], (1 - strength) * image + strength * colour, image)
    return image


def _camera(rng: np.random.Generator, image: Array) -> Array:
    """Uneven light, blur and noise: (H, W, 3) float to uint8."""
    height, width = image.shape[:2]
    ax, ay = _direction(rng)
    y, x = np.arange(height)[:, None] / height - 0.5, np.arange(width)[None, :] / width - 0.5
    light = _uniform(rng, 0.75, 1.15) + _uniform(rng, 0, 0.5) * (ax * x + ay * y)
    image = _blur(image * light[:, :, None])
    if rng.random() < 0.3:  # out of focus
        image = _blur(image)
    image = image + _uniform(rng, 5, 15) * _noise(rng, image.shape)
    picture: Array = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return picture


def draw_sample(height: int, width: int, seed: Sequence[int]) -> tuple[Array, Array]:
    """Draw the image for a seed, a sequence of integers >= 0.

    Returns:
        image: (H, W, 3) uint8, RGB.
        label: (H, W) uint8, an index into CLASSES, or VOID.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    image = _background(rng, height, width)
    label = np.zeros((height, width), dtype=np.uint8)
    for kind in KINDS:
        if rng.random() >= kind.share:
            continue
        fewest, most = kind.times
        for _ in range(int(rng.integers(fewest, most + 1))):
            mask, colour = _draw(rng, kind, height, width)
            image = np.where(mask[:, :, None], colour, image)
            # The rim lies outside the object: inside, it would cover thin bars.
            if rng.random() < RIM_SHARE:
                label[_dilate(mask, kind.rim)] = VOID
            label[mask] = kind.label
    return _camera(rng, image), label
