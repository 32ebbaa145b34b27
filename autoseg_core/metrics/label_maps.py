"""LabelMaps: checked images, and their counts for every region that a metric looks at.

N: images; H, W: pixels; H', W': the same with a margin (``metrics.windows``); C: classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from autoseg_core.counts import BoundaryCounts, Counts, RegionCounts
from autoseg_core.metrics.arrays import Array, as_tensor, fill, library
from autoseg_core.metrics.bands import band_counts
from autoseg_core.metrics.boundaries import boundary_counts, edge_maps
from autoseg_core.metrics.regions import region_counts
from autoseg_core.metrics.windows import framed, inside, window
from autoseg_core.scores import Band, Region


@dataclass(frozen=True)
class LabelMaps:
    """Images to be counted: what several counts need is made once, what none needs never.

    guess, truth: (N, H, W) integers, in [0, C) where ``seen`` and where ``valid``. valid: bool,
    pixels whose target is no void. seen: bool, pixels that edges and bands see; void is a neighbour
    without edges of its own where it is seen. tolerance: pixels. trimap: whether its counts will
    be asked for.
    """

    guess: Array
    truth: Array
    valid: Array
    seen: Array
    num_classes: int
    tolerance: int
    drop_background: bool
    trimap: bool = True

    def count(self, region: Region) -> Counts:
        """The counts of a region, (C,) int64 on the CPU."""
        found = self._bands(region) if isinstance(region, Band) else _COUNT[region](self)
        return found.cpu()

    @cached_property
    def maps(self) -> tuple[Array, Array]:
        """Prediction and target in frames: a seen void is label C, what is not seen C + 1."""
        void, unseen, margin = self.num_classes, self.num_classes + 1, max(1, self.tolerance)
        guess = framed(self.guess, self.seen, unseen, margin)
        truth = framed(self.truth, self.valid, unseen, margin)
        if self.seen is not self.valid:
            fill(inside(truth, margin), self.seen & ~self.valid, void)
        return guess, truth

    @cached_property
    def edges(self) -> tuple[Array, Array]:
        """Edges of prediction and target, (N, H', W') bool."""
        prediction, target = (edge_maps(maps, self.num_classes) for maps in self.maps)
        return prediction, target

    @cached_property
    def near(self) -> Array:
        """The trimap: pixels within the tolerance of a target's edge, (N, H', W') bool.

        None of them, where no metric looks at it.
        """
        if not self.trimap:
            return self.maps[1] < 0
        target, edges = self.maps[1], self.edges[1]
        if self.drop_background:
            edges = edges & (target != 0)
        return window(edges, self.tolerance, library(edges).bitwise_or)

    @cached_property
    def regions(self) -> tuple[RegionCounts, RegionCounts]:
        """Counts of the whole image, and of the trimap."""
        margin = max(1, self.tolerance)
        guess, truth, near = (inside(x, margin) for x in (*self.maps, self.near))
        return region_counts(guess, truth, near, self.num_classes)

    def _image(self) -> RegionCounts:
        return self.regions[0]

    def _trimap(self) -> RegionCounts:
        return self.regions[1]

    def _boundary(self) -> BoundaryCounts:
        return boundary_counts(self.maps, self.edges, self.num_classes, self.tolerance)

    def _bands(self, band: Band) -> RegionCounts:
        margin = max(1, self.tolerance)
        guess, truth = (as_tensor(inside(maps, margin)) for maps in self.maps)
        seen, valid = as_tensor(self.seen), as_tensor(self.valid)
        return band_counts(guess, truth, seen, valid, self.num_classes, band)


_COUNT: dict[str, Callable[[LabelMaps], Counts]] = {
    "image": LabelMaps._image,
    "trimap": LabelMaps._trimap,
    "boundary": LabelMaps._boundary,
}
