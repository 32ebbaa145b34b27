"""How images of any size and scale lie in the one size that features are computed at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """How an image lies in FEATURES.SIZE, in pixels of the finest feature.

    The image is resized to ``cells``, (rows, columns). What does not fit is cut off evenly on both
    sides, ``shown`` remains, and lies at the top left; below and on its right is nothing.
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
    """Of an image that fits into ``most`` pixels at scale 1, enlarged or reduced by ``scale``."""
    ratio = scale * min(limit / side for limit, side in zip(most, sides, strict=True))
    rows, columns = (max(1, round(side * ratio / stride)) for side in sides)
    height, width = (limit // stride for limit in most)
    return Window((rows, columns), (_middle(rows, height), _middle(columns, width)))


def _middle(cells: int, most: int) -> slice:
    """The middle ``most`` of so many cells, or all."""
    start = max(0, cells - most) // 2
    return slice(start, start + min(cells, most))
