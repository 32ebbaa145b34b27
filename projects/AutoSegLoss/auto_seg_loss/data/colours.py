"""What to write into INPUT.LABEL_PALETTE: the colours that the labels of a folder have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import numpy as np
from PIL import Image

from .labels import NO_INDICES, LabelError

MOST = 64
"""Colours of a label set; more come from smoothed edges, or the files are photographs."""


def refuse_colours(labels: str, looks: Mapping[str, object], void: int) -> None:
    """``LabelError`` with a palette to fill in if labels hold colours instead of indices.

    labels: what the error calls them. looks: of `file_scan.look_at_labels`, without a palette.
    """
    coloured = [path for path, look in looks.items() if NO_INDICES in str(look)]
    if 4 * len(coloured) >= len(looks):  # fewer are strays among indices
        words = f"labels such as {coloured[0]} hold colours, not class indices"
        raise LabelError(f"{labels}: {words}; {palette_to_fill_in([*looks], void)}")


def palette_to_fill_in(paths: Sequence[str], void: int) -> str:
    """All colours of label files, most frequent first, numbered as classes, with their shares."""
    total: Counter[int] = Counter()
    with ThreadPoolExecutor() as pool:
        for found in pool.map(_colours, paths):
            total.update(found)
            if len(total) > MOST:
                pool.shutdown(wait=False, cancel_futures=True)
                return (
                    f"they have more than {MOST} colours, too many for classes: they are "
                    "photographs, or have smooth edges; export them again without antialiasing, "
                    "and scale label maps without interpolation"
                )
    if not total:
        return "no INPUT.LABEL_PALETTE can name 16-bit values: write class indices"
    numbers = (number for number in count() if number != void)
    rows, shares = [], []
    for code, pixels in total.most_common():
        colour = [code >> 16, code >> 8 & 255, code & 255]
        rows.append([*colour, void if colour == [void] * 3 else next(numbers)])
        shares.append(f"{100 * pixels / total.total():.3g} %")
    return (
        "say which class each colour stands for, with the same class for colours that mean the "
        f'same and {void} for void: INPUT.LABEL_PALETTE "{rows}" (shares of the pixels: '
        f"{', '.join(shares)})"
    )


def _colours(path: str) -> Counter[int]:
    """Pixels by R << 16 | G << 8 | B; nothing of a file that cannot be read."""
    try:
        with Image.open(path) as picture:
            if picture.mode.startswith("I"):  # would be clipped
                return Counter()
            colours = np.asarray(picture.convert("RGB"), np.int32)
    except OSError:
        return Counter()
    codes, pixels = np.unique(colours @ np.array([1 << 16, 1 << 8, 1]), return_counts=True)
    return Counter(dict(zip(codes.tolist(), pixels.tolist(), strict=True)))
