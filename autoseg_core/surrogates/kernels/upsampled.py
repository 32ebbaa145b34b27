"""Tiles of logits at a network's stride, upsampled to the labels on the way.

N: images; C: classes; h, w: rows and columns of the logits; H, W: of the labels; R: rows of a band.

Bilinear upsampling is linear in rows and in columns, so a band of output rows needs two input rows
for each, and nothing of the full size is ever made: forward interpolates band by band, backward
does so again and takes each band's gradient back by the transposed weights. What is read is what
``F.interpolate`` reads: a NaN or an infinity reaches every pixel whose four inputs hold it, at a
weight of zero too; where all those pixels are void it changes nothing and has a gradient of zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from autoseg_core.numerics import working_dtype
from autoseg_core.surrogates.kernels import tiled

BAND = 1 << 20
"""Numbers in a band on an accelerator, where no cache bounds it but memory is what is saved."""


def upsample(logits: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    """Bilinear upsampling as a whole, what ``Bands`` are bands of: (N, C, h, w) -> (N, C, H, W).

    Computed and returned in float32, or float64 for float64: half precision would round it again.
    """
    values = logits.to(working_dtype(logits.dtype))
    return F.interpolate(values, list(size), mode="bilinear", align_corners=align_corners)


class Places(NamedTuple):
    """Between which two inputs each output lies, and how near the second; (outputs,) each."""

    first: Tensor
    second: Tensor
    weight: Tensor

    def part(self, outputs: slice) -> Places:
        return Places(self.first[outputs], self.second[outputs], self.weight[outputs])


def places(inputs: int, outputs: int, align_corners: bool, like: Tensor) -> Places:
    """Where ``F.interpolate`` puts outputs among inputs along one side, on the device of ``like``.

    Interpolating the inputs' own numbers gives each output's position. In float64, since of a
    position near 100 float32 leaves its fraction, which is the weight, only five digits.
    """
    numbers = torch.arange(inputs, dtype=torch.float64, device=like.device)
    at = F.interpolate(numbers[None, None], outputs, mode="linear", align_corners=align_corners)
    position = at[0, 0]
    first = position.floor().long()
    weight = (position - first).to(working_dtype(like.dtype))
    return Places(first, (first + 1).clamp(max=inputs - 1), weight)


class Bands:
    """The source of tiles (``tiled.Source``) that upsamples logits to the size of their labels.

    logits: (N, C, h, w) of any float dtype and strides. labels: (N, H * W), or (N, C, H * W) under
    "sigmoid". size: H, W. align_corners: as ``F.interpolate`` has it.
    """

    def __init__(
        self, logits: Tensor, labels: Tensor, size: Sequence[int], align_corners: bool
    ) -> None:
        self.logits, self.labels = logits, labels.unflatten(-1, list(size))
        height, width = logits.shape[2:]
        self.rows = places(height, size[0], align_corners, logits)
        self.columns = places(width, size[1], align_corners, logits)

    def tiles(self) -> Iterator[tuple[int, slice, Tensor, Tensor]]:
        """Image, rows, and their logits and labels as ``tile`` wants them."""
        height, width = self.labels.shape[-2:]
        numbers = tiled.TILE if self.logits.device.type == "cpu" else BAND
        length = max(1, max(1024, numbers // self.logits.shape[1]) // width)
        for image in range(self.logits.shape[0]):
            for start in range(0, height, length):
                band = slice(start, min(start + length, height))
                y = self.labels[image, ..., band, :].flatten(-2).int()
                yield image, band, self._band(image, band), y

    def room(self) -> Tensor:
        """Zeros for the gradient, (N, C, h, w); not in half precision, since bands add up there."""
        return torch.zeros_like(self.logits, dtype=working_dtype(self.logits.dtype))

    def put(self, out: Tensor, image: int, band: slice, gradient: Tensor) -> None:
        """Add a band's gradient (C, R * W) to the logits' ``out``: ``_band`` transposed.

        On CUDA the order of these sums is fixed by torch.use_deterministic_algorithms alone.
        """
        width = self.columns.weight.shape[0]
        wide = gradient.unflatten(1, (-1, width))
        right = wide * self.columns.weight
        narrow = wide.new_zeros(*wide.shape[:2], self.logits.shape[3])
        narrow.scatter_add_(2, self.columns.first.expand_as(wide), wide - right)
        narrow.scatter_add_(2, self.columns.second.expand_as(wide), right)
        rows = self.rows.part(band)
        lower = narrow * rows.weight[:, None]
        out[image].index_add_(1, rows.first, narrow - lower)
        out[image].index_add_(1, rows.second, lower)

    def _band(self, image: int, band: slice) -> Tensor:
        """Upsampled logits of a band of rows, (C, R * W)."""
        rows, dtype = self.rows.part(band), working_dtype(self.logits.dtype)
        upper = self.logits[image].index_select(1, rows.first).to(dtype)
        lower = self.logits[image].index_select(1, rows.second).to(dtype)
        narrow = upper.lerp(lower, rows.weight[:, None])
        # Along the last side gather is several times as fast as index_select on CPUs.
        shape = (*narrow.shape[:2], -1)
        left = narrow.gather(2, self.columns.first.expand(shape))
        right = narrow.gather(2, self.columns.second.expand(shape))
        return left.lerp_(right, self.columns.weight).flatten(1)
