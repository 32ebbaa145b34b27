"""Whether neighbouring images in different parts of a set look alike, like frames of a film: then a
network is scored on what it was trained on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .catalog import Pairs
from .images import read_image

SIDE = 16  # of the compared thumbnails, in pixels
LOOKED_AT = 60  # pairs at most: half a second
ENOUGH = 10  # pairs at least, for a verdict
ALIKE = 0.3  # share of pairs; CamVid's films have 0.47 to 1, photographs and cracks 0.03 to 0.1


def alike_neighbours(parts: Mapping[str, Pairs]) -> str:
    """A warning about neighbouring files that look alike across parts; "" if they do not.

    Neighbours are alike if they differ by less than half the median of all pairs of images, apart
    from brightness and tint. At most 60 neighbours are compared, spread over the set.
    """
    part_of = {item["file_name"]: part for part, pairs in parts.items() for item in pairs}
    # Frames of a film are neighbours by name, in one folder or in folders of the parts; where
    # each film has a folder, by path.
    by_name = sorted(part_of, key=lambda path: (os.path.basename(path), path))
    return _alike(part_of, by_name) or _alike(part_of, sorted(part_of))


def _alike(part_of: Mapping[str, str], paths: list[str]) -> str:
    across = [two for two in pairwise(paths) if part_of[two[0]] != part_of[two[1]]]
    if len(across) < ENOUGH:
        return ""
    spread = np.linspace(0, len(across) - 1, min(LOOKED_AT, len(across))).round().astype(int)
    across = [across[place] for place in spread]
    first, second = (np.stack([_thumbnail(two[i]) for two in across]) for i in range(2))
    others = [_difference(first[i], first[:i]) for i in range(1, len(first))]
    near = _difference(first, second) < np.median(np.concatenate(others)) / 2
    if near.mean() < ALIKE:
        return ""
    one, other = across[int(np.flatnonzero(near)[0])]
    return (
        f"{near.sum()} of {len(near)} pairs of neighbouring files in different parts look "
        f"alike, like frames of a film, such as {one} ({part_of[one]}) and {other} "
        f"({part_of[other]}): scores will be too high. Split by films or by blocks of frames, "
        "with DATASETS.FOLDER.GROUPS or lists"
    )


def _thumbnail(path: str) -> NDArray[np.float32]:
    """(SIDE, SIDE, 3), each channel of mean 0."""
    picture = Image.fromarray(read_image(path, "RGB")).resize((SIDE, SIDE), Image.Resampling.BOX)
    levels = np.asarray(picture, dtype=np.float32)
    return levels - levels.mean((0, 1))


def _difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean absolute difference over the last three axes."""
    difference: NDArray[np.float32] = np.abs(one - other).mean((-3, -2, -1))
    return difference
