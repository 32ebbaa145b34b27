"""Placement of images of any size and scale in the fixed size of the features."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from auto_seg_loss.runtime.errors import ConfigError


@dataclass(frozen=True)
class Window:
    """Placement of an image in FEATURES.SIZE, in pixels of the finest feature.

    The image is resized to ``cells``, (rows, columns). What does not fit is cropped evenly on both
    sides; ``shown`` remains, at the top left, with padding below and on the right.
    """

    cells: tuple[int, int]
    shown: tuple[slice, slice]

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns) that are shown."""
        rows, columns = (part.stop - part.start for part in self.shown)
        return rows, columns

    def pixels(self, stride: int) -> tuple[slice, slice]:
        """The part that is shown of an image of ``stride`` pixels per cell."""
        rows, columns = (slice(s.start * stride, s.stop * stride) for s in self.shown)
        return rows, columns


def window_of(sides: tuple[int, int], most: tuple[int, int], stride: int, scale: float) -> Window:
    """Placement of an image that fits into ``most`` pixels at scale 1, resized by ``scale``."""
    ratio = scale * min(limit / side for limit, side in zip(most, sides, strict=True))
    rows, columns = (max(1, round(side * ratio / stride)) for side in sides)
    height, width = (limit // stride for limit in most)
    return Window((rows, columns), (_middle(rows, height), _middle(columns, width)))


def _middle(cells: int, most: int) -> slice:
    """The central ``most`` of this many cells, or all."""
    start = max(0, cells - most) // 2
    return slice(start, start + min(cells, most))


def whole_size(size: Iterable[int], stride: int) -> tuple[int, int]:
    """FEATURES.SIZE as (height, width); ``ConfigError`` unless multiples of ``stride``."""
    height, width = size
    if height % stride or width % stride:
        raise ConfigError(
            f"FEATURES.SIZE must be multiples of the coarsest feature's stride, {stride}, got "
            f"{(height, width)}."
        )
    return height, width
