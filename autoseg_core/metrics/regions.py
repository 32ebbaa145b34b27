"""Exact region counts from label maps.

N: images; H', W': pixels with a margin; C: classes; R: runs. Labels in [0, C) are classes, others
are void. Label maps are made of areas, so they are counted a run of equal pixels at a time.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from autoseg_core.counts import RegionCounts
from autoseg_core.metrics.arrays import (
    Array,
    as_tensor,
    cast,
    histogram,
    library,
    positions,
)

LONG_ENOUGH = 4  # pixels: where runs are shorter on average, pixels are counted faster one by one


def region_counts(
    prediction: Array, target: Array, near: Array, num_classes: int
) -> tuple[RegionCounts, RegionCounts]:
    """Count target, intersection and union pixels of every class, and all that were looked at.

    prediction, target: integers of one shape, >= 0 and at most C + 1; pixels whose target is not a
    class are left out. near: bool of that shape. Returns the counts (C,), int64, of all pixels and
    of those that are near.
    """
    (guess, truth, near), lengths = _runs(*(x.reshape(-1) for x in (prediction, target, near)))
    void, bins, where = num_classes, num_classes + 2, library(truth).where
    part = near * bins

    def count(codes: Array, kinds: int) -> Array:
        shape = (2, bins, kinds)
        return histogram(codes, 2 * bins * kinds, lengths).reshape(shape)[:, :num_classes]

    of_true = count(2 * (truth + part) + (truth == guess), kinds=2)  # wrong ones and right ones
    of_target, of_both = of_true.sum(-1), of_true[..., 1]
    predicted = count(where(truth < void, guess, void) + part, kinds=1)[..., 0]
    union = of_target + predicted - of_both
    trimap = [as_tensor(counts[1]) for counts in (of_target, of_both, union)]
    image = [as_tensor(counts.sum(0)) for counts in (of_target, of_both, union)]
    return _with_pixels(*image), _with_pixels(*trimap)


def _with_pixels(target: Tensor, both: Tensor, union: Tensor) -> RegionCounts:
    return RegionCounts(target, both, union, target.sum().expand(len(target)))


def _runs(*maps: Array) -> tuple[list[Array], Array | None]:
    """Flat maps shortened to one pixel of each run in which none of them changes; the lengths.

    The pixels as they are, and None, where that is no gain: in noise, and off the CPU, where it
    would have to wait for the number of runs.
    """
    if library(maps[0]) is not np or not maps[0].size:
        return list(maps), None
    change = maps[0][1:] != maps[0][:-1]
    for other in maps[1:]:
        change |= other[1:] != other[:-1]
    if np.count_nonzero(change) > len(change) / LONG_ENOUGH:
        return list(maps), None
    starts = np.append(0, positions(change) + 1)
    return [x[starts] for x in maps], cast(np.diff(starts, append=len(change) + 1), "float64")
