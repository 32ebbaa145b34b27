#!/usr/bin/env python3
"""Makes `shapes`, a small semantic segmentation set on which the choice of the loss matters.

    python datasets/make_shapes.py [--root datasets] [--train 240 --val 60 --test 120] [--force]

What it draws: a textured background under most pixels; large textured ellipses and polygons of the
same colours, told apart by texture and outline only; medium squares; bars 2-3 px thin; tiny discs;
and a rare, small triangle that has the colours of the squares. Textures fade at random, and the
background carries faint unlabelled marks that look like the small objects. So the right answer is
at times a matter of odds, and a loss decides what to do with odds: cross entropy gives the rare
classes away, other losses need not. About half of the objects wear a void rim, as in VOC. The
other half do not, so that boundary metrics keep edges that lie between two labelled pixels.

Where it writes: <root>/shapes in VOC's layout (JPEGImages/, SegmentationClass/,
ImageSets/Segmentation/), with the parameters in dataset.json. It builds in a temporary folder and
renames at the end: there is a whole set or none.

Every image has its own generator, seeded by (seed, split, index), and is drawn with additions,
multiplications, square roots and comparisons only: no sine, no matrix product, nothing that a CPU
may round in its own way. So the same versions of NumPy and Pillow give the same bytes on every
machine, and a larger set begins with the images of a smaller one.

Letters: H, W image size; images are (H, W, 3) uint8 RGB, labels (H, W) uint8, masks (H, W) bool.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

VERSION = 1  # of the drawing: raise it whenever a pixel changes, so that older sets are recognised
CLASSES = ("background", "ellipse", "polygon", "square", "bar", "disc", "triangle")
VOID = 255
SPLITS = ("train", "val", "test")
MIN_SIDE = 48  # px; a large ellipse must fit

EARTH, SEA, SAND = (150, 105, 80), (80, 110, 160), (225, 210, 150)  # colour families, RGB


class ShapesError(RuntimeError):
    """The folder holds something that this script must not silently replace."""


@dataclass(frozen=True)
class Parameters:
    """All that decides the bytes of a set: image size in pixels, images per split, seed."""

    height: int = 96
    width: int = 128
    train: int = 240
    val: int = 60
    test: int = 120
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.height, self.width) < MIN_SIDE:
            raise ValueError(
                f"images must be at least {MIN_SIDE} px high and wide, "
                f"got {self.height}x{self.width}"
            )
        for split in SPLITS:
            if getattr(self, split) < 0:
                raise ValueError(f"{split} must be 0 or more images, got {getattr(self, split)}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")


# --- numbers and fields -------------------------------------------------------------------------


def _uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(rng.random())


def _direction(rng: np.random.Generator) -> tuple[float, float]:
    """A uniform unit vector, by rejection: sine and cosine are not the same on every machine."""
    while True:
        x, y = _uniform(rng, -1, 1), _uniform(rng, -1, 1)
        if 0.01 < (square := x * x + y * y) <= 1:
            return x / math.sqrt(square), y / math.sqrt(square)


def _noise(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Bell-shaped noise of mean 0 and standard deviation 1: a sum of three uniforms."""
    total: np.ndarray = rng.random(shape) + rng.random(shape) + rng.random(shape)
    return 2 * (total - 1.5)


def _smooth(rng: np.random.Generator, height: int, width: int, cell: int) -> np.ndarray:
    """Cloudy noise, (H, W) about [-2, 2]: a coarse grid of noise, interpolated bilinearly."""
    grid = _noise(rng, (height // cell + 2, width // cell + 2))
    y, x = np.arange(height), np.arange(width)
    fy, fx = (y % cell / cell)[:, None], (x % cell / cell)[None, :]
    rows, columns = (y // cell)[:, None], (x // cell)[None, :]
    top = grid[rows, columns] * (1 - fx) + grid[rows, columns + 1] * fx
    bottom = grid[rows + 1, columns] * (1 - fx) + grid[rows + 1, columns + 1] * fx
    return top * (1 - fy) + bottom * fy


def _wave(phase: np.ndarray) -> np.ndarray:
    """Triangle wave of period 1, range [-1, 1]."""
    wave: np.ndarray = 4 * np.abs(phase - np.floor(phase) - 0.5) - 1
    return wave


def _blur(image: np.ndarray) -> np.ndarray:
    """3x3 binomial blur of (H, W, 3): the camera's, and the anti-aliasing of the drawn masks."""
    p = np.pad(image, ((1, 1), (0, 0), (0, 0)), mode="edge")
    p = (p[:-2] + 2 * p[1:-1] + p[2:]) / 4
    p = np.pad(p, ((0, 0), (1, 1), (0, 0)), mode="edge")
    blurred: np.ndarray = (p[:, :-2] + 2 * p[:, 1:-1] + p[:, 2:]) / 4
    return blurred


def _dilate(mask: np.ndarray) -> np.ndarray:
    """The mask and its four-neighbours."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown


# --- objects ------------------------------------------------------------------------------------


class Frame(NamedTuple):
    """Pixel coordinates in an object's own axes: (H, W) each, px, origin at its centre."""

    u: np.ndarray
    v: np.ndarray


class Thing(NamedTuple):
    """One drawn object: where it is, and what its pixels look like before light and noise."""

    mask: np.ndarray
    colour: np.ndarray  # (H, W, 3) or (3,)


def _frame(rng: np.random.Generator, height: int, width: int) -> Frame:
    cy, cx = _uniform(rng, 0, height), _uniform(rng, 0, width)
    ax, ay = _direction(rng)
    y, x = np.arange(height)[:, None] - cy, np.arange(width)[None, :] - cx
    return Frame(ax * x + ay * y, ax * y - ay * x)


def _base(rng: np.random.Generator, family: tuple[int, int, int], spread: float = 28) -> np.ndarray:
    """A colour of the family, (3,): brightness varies more than hue."""
    return np.array(family) + _uniform(rng, -spread, spread) + _noise(rng, (3,)) * (spread / 4)


def _textured(base: np.ndarray, texture: np.ndarray, strength: float) -> np.ndarray:
    return base + strength * texture[:, :, None]


def _ellipse(rng: np.random.Generator, height: int, width: int) -> Thing:
    """Large; stripes. Shares its colours with the polygon."""
    f = _frame(rng, height, width)
    a, b = _uniform(rng, 16, 30), _uniform(rng, 11, 20)
    stripes = _wave(f.u / _uniform(rng, 5, 9))
    return Thing(
        (f.u / a) ** 2 + (f.v / b) ** 2 <= 1,
        _textured(_base(rng, EARTH), stripes, _uniform(rng, 0, 30)),
    )


def _polygon(rng: np.random.Generator, height: int, width: int) -> Thing:
    """Large; cut by 5 half planes; checks. Shares its colours with the ellipse."""
    f = _frame(rng, height, width)
    mask = np.abs(f.u) + np.abs(f.v) <= 40
    for _ in range(5):
        nx, ny = _direction(rng)
        mask &= nx * f.u + ny * f.v <= _uniform(rng, 10, 24)
    period = _uniform(rng, 6, 10)
    checks = _wave(f.u / period) * _wave(f.v / period)
    return Thing(mask, _textured(_base(rng, EARTH), checks, _uniform(rng, 0, 40)))


def _square(rng: np.random.Generator, height: int, width: int) -> Thing:
    """Medium; grain. Shares its colours with the triangle."""
    f = _frame(rng, height, width)
    a, b = _uniform(rng, 6, 11), _uniform(rng, 6, 11)
    grain = _noise(rng, (height, width))
    return Thing(
        (np.abs(f.u) <= a) & (np.abs(f.v) <= b),
        _textured(_base(rng, SEA), grain, _uniform(rng, 0, 16)),
    )


def _bar(rng: np.random.Generator, height: int, width: int) -> Thing:
    """2-3 px thin, 24-70 px long; light. Shares its colours with the disc."""
    f = _frame(rng, height, width)
    half, length = _uniform(rng, 1.0, 1.6), _uniform(rng, 12, 35)
    return Thing((np.abs(f.v) <= half) & (np.abs(f.u) <= length), _base(rng, SAND))


def _disc(rng: np.random.Generator, height: int, width: int) -> Thing:
    """Tiny: 4-8 px across; light. Shares its colours with the bar."""
    f = _frame(rng, height, width)
    r = _uniform(rng, 2, 4)
    return Thing(f.u * f.u + f.v * f.v <= r * r, _base(rng, SAND))


def _triangle(rng: np.random.Generator, height: int, width: int) -> Thing:
    """Rare and small: 14-22 px sides; weak stripes. Shares its colours with the square."""
    f = _frame(rng, height, width)
    r = _uniform(rng, 4, 6.5)
    root3 = math.sqrt(3)  # the sides of an equilateral triangle of inscribed radius r
    mask = (f.v <= r) & (root3 * f.u - f.v <= 2 * r) & (-root3 * f.u - f.v <= 2 * r)
    return Thing(mask, _textured(_base(rng, SEA), _wave(f.u / 4), _uniform(rng, 0, 20)))


Draw = Callable[[np.random.Generator, int, int], Thing]


class Kind(NamedTuple):
    """How often a class appears: in `share` of the images, then `fewest` to `most` times."""

    label: int
    draw: Draw
    share: float
    fewest: int
    most: int
    rim: int  # width of the void rim in px, where the object wears one


# In drawing order: small things on top, or the large ones would swallow them.
KINDS = (
    Kind(1, _ellipse, 0.75, 1, 2, 2),
    Kind(2, _polygon, 0.55, 1, 2, 2),
    Kind(3, _square, 0.55, 1, 2, 1),
    Kind(6, _triangle, 0.14, 1, 2, 1),
    Kind(4, _bar, 0.60, 1, 3, 1),
    Kind(5, _disc, 0.50, 3, 7, 1),
)
RIM_SHARE = 0.5
MARKS: tuple[Draw, ...] = (_square, _bar, _disc, _disc, _triangle)  # unlabelled look-alikes


# --- an image -----------------------------------------------------------------------------------


def _background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(H, W, 3): clouds, fine grain, and faint marks that look like objects but are none."""
    clouds = 16 * _smooth(rng, height, width, 24) + 9 * _smooth(rng, height, width, 6)
    image: np.ndarray = _textured(_base(rng, (125, 130, 115), 35), clouds, 1)
    image = image + 5 * _noise(rng, (height, width, 1))
    for draw in MARKS:
        thing = draw(rng, height, width)
        strength = _uniform(rng, 0.1, 0.5)
        image = np.where(
            thing.mask[:, :, None], (1 - strength) * image + strength * thing.colour, image
        )
    return image


def _camera(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Uneven light, blur and noise: (H, W, 3) float to uint8."""
    height, width = image.shape[:2]
    ax, ay = _direction(rng)
    y, x = np.arange(height)[:, None] / height - 0.5, np.arange(width)[None, :] / width - 0.5
    light = _uniform(rng, 0.75, 1.15) + _uniform(rng, 0, 0.5) * (ax * x + ay * y)
    image = _blur(image * light[:, :, None])
    if rng.random() < 0.3:  # out of focus
        image = _blur(image)
    image = image + _uniform(rng, 5, 15) * _noise(rng, image.shape)
    picture: np.ndarray = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return picture


def make_sample(parameters: Parameters, split: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws image `index` of a split.

    Returns:
        image: (H, W, 3) uint8, RGB.
        label: (H, W) uint8, an index into CLASSES, or VOID.
    """
    seed = [parameters.seed, SPLITS.index(split), index]
    rng = np.random.Generator(np.random.PCG64(seed))
    height, width = parameters.height, parameters.width
    image = _background(rng, height, width)
    label = np.zeros((height, width), dtype=np.uint8)
    for kind in KINDS:
        if rng.random() >= kind.share:
            continue
        for _ in range(int(rng.integers(kind.fewest, kind.most + 1))):
            thing = kind.draw(rng, height, width)
            image = np.where(thing.mask[:, :, None], thing.colour, image)
            # The rim lies outside the object: inside, it would leave nothing of a thin bar.
            if rng.random() < RIM_SHARE:
                grown = thing.mask
                for _ in range(kind.rim):
                    grown = _dilate(grown)
                label[grown] = VOID
            label[thing.mask] = kind.label
    return _camera(rng, image), label


# --- a set --------------------------------------------------------------------------------------


def voc_colour_map() -> np.ndarray:
    """VOC's palette, (256, 3) uint8: bit 7 - k of a channel is bit 3k + channel of the index."""
    index = np.arange(256)
    channels = [
        sum(((index >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(8))
        for channel in range(3)
    ]
    return np.stack(channels, axis=1).astype(np.uint8)


def names(parameters: Parameters, split: str) -> Iterator[str]:
    """The file stems of a split, in order."""
    return (f"{split}_{index:05d}" for index in range(getattr(parameters, split)))


def _record(parameters: Parameters) -> dict[str, object]:
    return {
        "dataset": "shapes",
        "version": VERSION,
        "parameters": asdict(parameters),
        "classes": list(CLASSES),
        "void": VOID,
    }


def _write(folder: Path, parameters: Parameters) -> None:
    images, labels = folder / "JPEGImages", folder / "SegmentationClass"
    lists = folder / "ImageSets" / "Segmentation"
    for directory in (images, labels, lists):
        directory.mkdir(parents=True)
    palette = voc_colour_map().tobytes()
    for split in SPLITS:
        stems = list(names(parameters, split))
        for index, stem in enumerate(stems):
            image, label = make_sample(parameters, split, index)
            # Without chroma subsampling: it would smear the colours of 2 px bars.
            Image.fromarray(image).save(images / f"{stem}.jpg", quality=95, subsampling=0)
            picture = Image.fromarray(label)
            picture.putpalette(palette)  # turns it into a palette image; the indices stay
            # Run lengths only: how zlib searches for longer matches depends on the CPU.
            picture.save(labels / f"{stem}.png", compress_type=zlib.Z_RLE)
        (lists / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in stems))
    (folder / "dataset.json").write_text(json.dumps(_record(parameters), indent=2) + "\n")


def _files(folder: Path, parameters: Parameters) -> Iterator[Path]:
    for split in SPLITS:
        yield folder / "ImageSets" / "Segmentation" / f"{split}.txt"
        for stem in names(parameters, split):
            yield folder / "JPEGImages" / f"{stem}.jpg"
            yield folder / "SegmentationClass" / f"{stem}.png"


def _accept(folder: Path, parameters: Parameters, force: bool) -> bool:
    """True: the folder holds this set already. False: it may be written. Else ShapesError."""
    if not folder.exists():
        return False
    try:
        found = json.loads((folder / "dataset.json").read_text())
        ours = found["dataset"] == "shapes"
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        # Not even with --force: these may be somebody's files.
        raise ShapesError(
            f"{folder} exists but is no set made by this script (it has no valid dataset.json); "
            "move it away or choose another --root"
        )
    if force:
        return False
    expected = _record(parameters)
    if found != expected:
        keys = [k for k in {**expected, **found} if found.get(k) != expected.get(k)]
        differences = "; ".join(f"{k}: {found.get(k)} there, {expected.get(k)} asked" for k in keys)
        raise ShapesError(
            f"{folder} holds a different set ({differences}); "
            "give --force to replace it, or another --root"
        )
    if missing := [path for path in _files(folder, parameters) if not path.is_file()]:
        raise ShapesError(
            f"{folder} lacks {len(missing)} of its files, {missing[0]} first; "
            "give --force to make the set again"
        )
    return True


def make_shapes(
    root: Path | str, parameters: Parameters | None = None, force: bool = False
) -> Path:
    """Makes <root>/shapes, or leaves it alone when the same set is already there.

    Args:
        root: the folder of data sets (what DETECTRON2_DATASETS names); made when missing.
        parameters: sizes, counts and seed; the defaults when None.
        force: replace a set with other parameters, or a damaged one.

    Returns:
        The path of the set.

    Raises:
        ShapesError: the folder holds another set (without `force`) or something else (always).
    """
    parameters = parameters or Parameters()
    root = Path(root)
    folder = root / "shapes"
    if _accept(folder, parameters, force):
        return folder
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".shapes-", dir=root) as temporary:
        fresh = Path(temporary) / "new"
        _write(fresh, parameters)
        if folder.exists():
            os.rename(folder, Path(temporary) / "old")  # goes with the temporary folder
        try:
            os.rename(fresh, folder)
        except OSError:
            # Another process may have been faster; its set is as good if it is the same.
            if not _accept(folder, parameters, force=False):
                raise
    return folder


def user_path(text: str) -> Path:
    """A path of the command line or the environment, its ``~`` a home directory."""
    return Path(text).expanduser()


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    default = Parameters()
    parser = argparse.ArgumentParser(
        description="Make the data set `shapes` (VOC layout, deterministic) under <root>/shapes."
    )
    parser.add_argument(
        "--root",
        type=user_path,
        default=os.environ.get("DETECTRON2_DATASETS", "datasets"),
        help="folder of data sets (default: $DETECTRON2_DATASETS, else ./datasets)",
    )
    for name, value in asdict(default).items():
        parser.add_argument(f"--{name}", type=int, default=value, help=f"default {value}")
    parser.add_argument("--force", action="store_true", help="replace a different set")
    options = parser.parse_args(arguments)
    try:
        parameters = Parameters(**{name: getattr(options, name) for name in asdict(default)})
        folder = make_shapes(options.root, parameters, options.force)
    except (ShapesError, ValueError, OSError) as error:
        print(f"make_shapes: {error}", file=sys.stderr)
        return 1
    counts = ", ".join(f"{getattr(parameters, split)} {split}" for split in SPLITS)
    print(f"shapes: {counts} images of {parameters.height}x{parameters.width} in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
