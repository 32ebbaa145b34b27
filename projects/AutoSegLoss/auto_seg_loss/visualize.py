"""Pictures of label maps: pure functions from arrays to arrays.

H, W: pixels; C: classes. Images are (H, W, 3) uint8 RGB. Labels are (H, W) integers; a value that
is not a class, usually 255, is void.

The legend of a boundary overlay, over the image at half its brightness:

    green   edge of the truth alone: missed
    red     edge of the prediction alone: false
    yellow  edge of both
    void    as dark as the rest; predictions in it have no edges
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import PIL.Image
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import ImageDraw, ImageFont

from autoseg_core.metrics.boundaries import label_edges

Image = NDArray[np.uint8]
Labels = NDArray[np.integer]

MISSED, FALSE, BOTH = (0, 255, 0), (255, 0, 0), (255, 255, 0)
"""Colours of edges: see the module."""
_LETTER = 14  # height of the letters of a legend, in pixels


def overlay(image: Image, labels: Labels, colours: ArrayLike, alpha: float = 0.5) -> Image:
    """Blend an image with the colours of its labels; void pixels show the image alone.

    image: (H, W, 3) uint8. labels: (H, W). colours: (C, 3). alpha: share of the colours, in [0, 1].
    Returns (H, W, 3) uint8.
    """
    palette = np.asarray(colours)
    seen = _is_class(labels, len(palette))
    mixed = (1 - alpha) * image + alpha * palette[np.where(seen, labels, 0)]
    return np.where(seen[..., None], np.rint(mixed).astype(np.uint8), image)


def boundary_overlay(image: Image, prediction: Labels, target: Labels, num_classes: int) -> Image:
    """Draw the edges of truth and prediction: see the module for the colours.

    Edges are those of the exact metrics with the protocol ``strict`` (inner, one pixel wide on
    either side; none at void). image: (H, W, 3) uint8. prediction, target: (H, W). num_classes:
    C; other values of the target are void. Returns (H, W, 3) uint8.
    """
    seen = torch.from_numpy(_is_class(target, num_classes))
    guessed, true = (_edges(labels, seen, num_classes) for labels in (prediction, target))
    drawn = image // 2
    drawn[true & ~guessed] = MISSED
    drawn[guessed & ~true] = FALSE
    drawn[true & guessed] = BOTH
    return drawn


def _edges(labels: Labels, seen: torch.Tensor, num_classes: int) -> NDArray[np.bool_]:
    known = np.where(_is_class(labels, num_classes), labels, num_classes)
    whole = torch.from_numpy(known.astype(np.int64))
    return label_edges(whole[None], seen[None], num_classes)[0].numpy()


def grid(rows: Sequence[Sequence[Image]], gap: int = 4) -> Image:
    """Put images into rows and columns on white, ``gap`` pixels apart.

    Cells are as large as the largest image, which may differ in size; each lies in its cell's upper
    left corner. Rows may differ in length. Returns (H, W, 3) uint8.
    """
    images = [image for row in rows for image in row]
    height, width = (max(image.shape[axis] for image in images) + gap for axis in (0, 1))
    columns = max(map(len, rows))
    sheet = np.full((len(rows) * height - gap, columns * width - gap, 3), 255, np.uint8)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            top, left = i * height, j * width
            sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet


def legend(names: Sequence[str], colours: ArrayLike, width: int) -> Image:
    """Class names, each behind a square of its colour, in as many lines as ``width`` pixels need.

    colours: (C, 3) uint8. Returns (H, width, 3) uint8.
    """
    font, left, top, places = ImageFont.load_default(_LETTER), 0, 0, []
    for name in names:
        length = 2 * _LETTER + int(font.getlength(name))
        if left and left + length > width:
            left, top = 0, top + 2 * _LETTER
        places.append((left, top))
        left += length + _LETTER
    sheet = PIL.Image.new("RGB", (width, top + 2 * _LETTER), "white")
    draw = ImageDraw.Draw(sheet)
    for name, colour, (x, y) in zip(names, np.asarray(colours).tolist(), places, strict=True):
        draw.rectangle((x, y, x + _LETTER, y + _LETTER), tuple(colour), outline="black")
        draw.text((x + 1.5 * _LETTER, y), name, "black", font)
    return np.asarray(sheet)


def shrunk(array: NDArray, longest: int) -> NDArray:
    """An image (H, W, 3) or labels (H, W) with no side above ``longest`` pixels; never enlarged.

    Takes every n-th pixel, so labels stay labels, and maps of one size stay aligned.
    """
    step = -(-max(array.shape[:2]) // longest)
    return array[::step, ::step]


def _is_class(labels: Labels, num_classes: int) -> NDArray[np.bool_]:
    return (labels >= 0) & (labels < num_classes)
