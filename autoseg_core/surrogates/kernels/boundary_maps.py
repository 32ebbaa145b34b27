"""Parts of the lean boundary counts: erosion with its gradient, dilated truth, peaks.

n: images and k: classes of a chunk; H, W: pixels; M: words of class bits. No operation reads data
on the host unless the tensors live there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from autoseg_core.metrics.boundaries import BITS


class Erosion:
    """3x3 minimum of p (n, k, H, W), which must be 1 at masked pixels; ``value`` is its result."""

    def __init__(self, probability: Tensor) -> None:
        # 1 is the largest probability: the image border does not lower a minimum.
        self.padded = F.pad(probability, (1, 1, 1, 1), value=1.0)
        self.rows = _lowest_of_three(self.padded, -1)
        self.value = _lowest_of_three(self.rows, -2)

    def gradient(self, grad: Tensor) -> Tensor:
        """Gradient in p from the gradient in ``value``; ties as in ``F.max_pool2d``.

        That routes to the first pixel of the window in reading order: the first row, and in it
        the first column, that holds the minimum.
        """
        of_rows = _to_first(self.rows, self.value, grad, -2)
        return _to_first(self.padded, self.rows, of_rows, -1)[..., 1:-1, 1:-1]


def _lowest_of_three(values: Tensor, axis: int) -> Tensor:
    size = values.shape[axis] - 2
    first, second, third = (values.narrow(axis, start, size) for start in range(3))
    return torch.minimum(torch.minimum(first, second), third)


def _to_first(values: Tensor, lowest: Tensor, grad: Tensor, axis: int) -> Tensor:
    """Route ``grad`` of the ``lowest`` of three neighbours to the first that equals it."""
    routed, left = torch.zeros_like(values), grad.clone()
    for start in range(3):
        here = (axis, start, lowest.shape[axis])
        share = torch.eq(values.narrow(*here), lowest, out=torch.empty_like(lowest)).mul_(left)
        routed.narrow(*here).add_(share)
        left.sub_(share)
    return routed


def has_class(sets: Tensor, classes: slice, dtype: torch.dtype) -> Tensor:
    """1.0 where a pixel's class set (M, n, H, W) holds the class, else 0.0; (n, k, H, W)."""
    numbers = torch.arange(classes.start, classes.stop, device=sets.device)
    words = sets if len(sets) == 1 else sets[numbers // BITS]
    bits = (torch.ones_like(numbers) << (numbers % BITS)).view(-1, 1, 1)
    found = words.transpose(0, 1) & bits
    return torch.ne(found, 0, out=torch.empty_like(found, dtype=dtype))


def find_peaks(soft: Tensor, truth: Tensor, classes: slice, radius: int, peaks: Tensor) -> None:
    """Where the dilation of ``soft`` takes its value from, at the truth edges of these classes.

    soft: (n, k, H, W) soft edges. truth: (n, H, W) int, the class of each truth edge pixel, -1 off
    edges. radius: pixels. Writes into ``peaks`` (n, H, W) int32 the position y W + x of the highest
    soft edge of the pixel's class in the (2r+1) x (2r+1) window around it; of equal ones the first
    in reading order, as ``F.max_pool2d`` does. Other pixels of ``peaks`` stay as they are.
    """
    height, width = truth.shape[-2:]
    chosen = (truth >= classes.start) & (truth < classes.stop)
    at = _pixels(chosen)
    y, x = at // width % height, at % width
    plane = _planes(at, truth, classes)[:, None] * height
    # A window that is cut by the border repeats its last row or column, which changes no first.
    window = torch.arange(-radius, radius + 1, device=at.device)
    rows = (y[:, None] + window).clamp_(0, height - 1)
    columns = (x[:, None] + window).clamp_(0, width - 1)
    highest = F.max_pool1d(soft.flatten(0, 1), 2 * radius + 1, stride=1, padding=radius).flatten()
    in_rows = highest[(plane + rows) * width + x[:, None]]
    row = rows.gather(1, in_rows.argmax(1, keepdim=True))
    in_columns = soft.flatten()[(plane + row) * width + columns]
    column = columns.gather(1, in_columns.argmax(1, keepdim=True))
    found = (row * width + column)[:, 0].to(peaks.dtype)
    before = peaks.flatten()[at]
    peaks.view(-1)[at] = torch.where(chosen.flatten()[at], found, before)


def count_peaks(peaks: Tensor, truth: Tensor, classes: slice, dtype: torch.dtype) -> Tensor:
    """How many truth edge pixels have their peak at each pixel, (n, k, H, W).

    peaks, truth: as in ``find_peaks``. The sum of a class's dilated soft edges over its truth edges
    is the sum of ``count x soft edge``. Whole numbers: their order of addition changes nothing.
    """
    images, height, width = truth.shape
    area = height * width
    chosen = (truth >= classes.start) & (truth < classes.stop)
    at = _pixels(chosen)
    # Off edges a pixel stands for its own peak with weight 0, so that writes do not crowd one.
    peak = torch.where(chosen.flatten()[at], peaks.flatten()[at], at % area)
    kinds = classes.stop - classes.start
    counts = torch.zeros(images * kinds * area, dtype=dtype, device=peaks.device)
    weight = chosen.flatten()[at].to(dtype)
    counts.index_add_(0, _planes(at, truth, classes) * area + peak, weight)
    return counts.view(images, kinds, height, width)


def _pixels(chosen: Tensor) -> Tensor:
    """Positions in the flat (n, H, W) that need work: the chosen ones; all, off the host.

    To list the chosen ones on an accelerator would stall its stream.
    """
    if chosen.device.type == "cpu":
        return chosen.flatten().nonzero()[:, 0]
    return torch.arange(chosen.numel(), device=chosen.device)


def _planes(at: Tensor, truth: Tensor, classes: slice) -> Tensor:
    """Index of the (image, class) plane of the chunk in which each pixel of ``at`` looks."""
    kinds = classes.stop - classes.start
    kind = (truth.flatten()[at].long() - classes.start).clamp_(0, kinds - 1)
    return (at // truth[0].numel()).mul_(kinds).add_(kind)
