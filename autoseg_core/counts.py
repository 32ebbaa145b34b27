"""Counts: the common representation behind exact metrics and their surrogates.

C: classes. Every field has shape (C,). Exact counts are int64 pixels; soft counts are floats that
carry gradients. Counts of disjoint sets of pixels (batches, ranks, images) add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

Self = TypeVar("Self", bound="Counts")


@dataclass(frozen=True)
class Counts:
    """Additive (C,) vectors; the base of the two kinds below."""

    target: Tensor

    def __add__(self: Self, other: Self) -> Self:
        return type(self)(*(a + b for a, b in zip(self.tensors(), other.tensors(), strict=True)))

    def tensors(self) -> tuple[Tensor, ...]:
        """The fields in declaration order, e.g. to sum them over processes."""
        return tuple(vars(self).values())

    def double(self: Self) -> Self:
        """The same counts in float64, the dtype in which scores are computed."""
        return type(self)(*(t.double() for t in self.tensors()))

    def cpu(self: Self) -> Self:
        """The same counts on the host."""
        return type(self)(*(t.cpu() for t in self.tensors()))


@dataclass(frozen=True)
class RegionCounts(Counts):
    """Pixels per class (ASL, arXiv 2010.07930, eq. 1-3 written as counts).

    ``prediction = intersection + union - target``; false positives ``union - target``; false
    negatives ``target - intersection``; true negatives ``pixels - union``. ``pixels`` are those
    considered for a class: all valid ones, whatever their label.
    """

    intersection: Tensor
    union: Tensor
    pixels: Tensor


@dataclass(frozen=True)
class BoundaryCounts(Counts):
    """Boundary pixels per class: all of them, and those within the tolerance of the other side."""

    matched_target: Tensor
    prediction: Tensor
    matched_prediction: Tensor
