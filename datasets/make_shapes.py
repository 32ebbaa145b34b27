#!/usr/bin/env python3
"""Makes `shapes`, a small semantic segmentation data set where the choice of the loss matters.

    python datasets/make_shapes.py [--root datasets] [--train 240 --val 60 --test 120] [--force]

rl/proxies/shape_images.py draws and describes the images. They are written to <root>/shapes in
VOC's layout (JPEGImages/, SegmentationClass/, ImageSets/Segmentation/), with the parameters in
dataset.json, first into a temporary folder, which is renamed at the end: there is a complete set or
none.

Every image has its own generator, seeded by (seed, split, index). So the same versions of
NumPy and Pillow give the same bytes on every machine, and a larger set starts with the images of a
smaller one.

Letters: H, W image size.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

# By its folder, since importing its package would import torch.
sys.path.append(str(Path(__file__).resolve().parents[1] / "rl" / "proxies"))
import shape_images as drawing  # type: ignore[import-not-found]

SPLITS = ("train", "val", "test")


class ShapesError(RuntimeError):
    """The folder has content that this script must not silently replace."""


@dataclass(frozen=True)
class Parameters:
    """Everything that determines the bytes of a set: image size, images per split, seed."""

    height: int = 96
    width: int = 128
    train: int = 240
    val: int = 60
    test: int = 120
    seed: int = 0


def make_sample(parameters: Parameters, split: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Image `index` of a split, (H, W, 3) uint8 RGB, and its label, (H, W) uint8."""
    seed = [parameters.seed, SPLITS.index(split), index]
    image, label = drawing.draw_sample(parameters.height, parameters.width, seed)
    return image, label


def voc_colour_map() -> np.ndarray:
    """VOC's palette, (256, 3) uint8: bit 7 - k of a channel is bit 3k + channel of the index."""
    index = np.arange(256)
    channels = [
        sum(((index >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(8))
        for channel in range(3)
    ]
    return np.stack(channels, axis=1).astype(np.uint8)


def _record(parameters: Parameters) -> dict[str, object]:
    return {
        "dataset": "shapes",
        "version": drawing.VERSION,
        "parameters": asdict(parameters),
        "classes": list(drawing.CLASSES),
        "void": drawing.VOID,
    }


def _write(folder: Path, parameters: Parameters) -> None:
    images, labels = folder / "JPEGImages", folder / "SegmentationClass"
    lists = folder / "ImageSets" / "Segmentation"
    for directory in (images, labels, lists):
        directory.mkdir(parents=True)
    palette = voc_colour_map().tobytes()
    for split in SPLITS:
        stems = [f"{split}_{index:05d}" for index in range(getattr(parameters, split))]
        for index, stem in enumerate(stems):
            image, label = make_sample(parameters, split, index)
            # Without chroma subsampling: it would smear the colours of 2 px bars.
            Image.fromarray(image).save(images / f"{stem}.jpg", quality=95, subsampling=0)
            picture = Image.fromarray(label)
            picture.putpalette(palette)  # turns it into a palette image; the indices stay
            # Only run lengths: zlib's search for longer matches depends on the CPU.
            picture.save(labels / f"{stem}.png", compress_type=zlib.Z_RLE)
        (lists / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in stems))
    (folder / "dataset.json").write_text(json.dumps(_record(parameters), indent=2) + "\n")


def _is_made(folder: Path, parameters: Parameters, force: bool) -> bool:
    """True: the folder holds this set already. False: it may be written. Else ShapesError."""
    if not folder.exists():
        return False
    try:
        found = json.loads((folder / "dataset.json").read_text())
    except (FileNotFoundError, ValueError):  # no record, or a damaged one
        found = None
    if not isinstance(found, dict) or found.get("dataset") != "shapes":
        # Not even with --force: it may be somebody's files.
        raise ShapesError(
            f"{folder} was not made by this script; move it away or choose another --root"
        )
    if force or found == _record(parameters):
        return not force
    there = found.get("parameters", {})
    other = [
        f"{key} {there.get(key)} instead of {value}"
        for key, value in asdict(parameters).items()
        if there.get(key) != value
    ]
    words = ", ".join(other) or "from another version"
    raise ShapesError(
        f"{folder} holds another set, {words}; pass --force to replace it, or another --root"
    )


def make_shapes(root: Path, parameters: Parameters, force: bool = False) -> Path:
    """Makes <root>/shapes, or leaves it alone if it is already the same set; returns its path.

    force: replace a set with other parameters, or remake the same one. ``ShapesError``: the folder
    holds another set (without ``force``) or something else (always).
    """
    folder = root / "shapes"
    if _is_made(folder, parameters, force):
        return folder
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".shapes-", dir=root) as temporary:
        fresh = Path(temporary) / "new"
        _write(fresh, parameters)
        if folder.exists():
            folder.rename(Path(temporary) / "old")  # deleted with the temporary folder
        fresh.rename(folder)
    return folder


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Make the data set `shapes` (VOC layout, deterministic) under <root>/shapes."
    )
    parser.add_argument(
        "--root",
        type=lambda text: Path(text).expanduser(),
        default=os.environ.get("DETECTRON2_DATASETS", "datasets"),
        help="folder of data sets (default: $DETECTRON2_DATASETS, else ./datasets)",
    )
    for name, value in asdict(Parameters()).items():
        parser.add_argument(f"--{name}", type=int, default=value, help=f"default {value}")
    parser.add_argument("--force", action="store_true", help="replace a different set")
    options = vars(parser.parse_args(arguments))
    root, force, parameters = options.pop("root"), options.pop("force"), Parameters(**options)
    try:
        folder = make_shapes(root, parameters, force)
    except (ShapesError, ValueError, OSError) as error:
        print(f"make_shapes: {error}", file=sys.stderr)
        return 1
    counts = ", ".join(f"{getattr(parameters, split)} {split}" for split in SPLITS)
    print(f"shapes: {counts} images of {parameters.height}x{parameters.width} in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
