"""What every metric is, in textbook form: of hard predictions the score, of soft ones the score
with identity curves. Slow twins, written without ``autoseg_core``.

N: images; C: classes; H, W: pixels; d: a radius in pixels. All on float64 tensors that may carry
gradients: windows are unfolded, and a class's four cells of the confusion matrix are sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Cells(NamedTuple):
    """True and false positives and negatives of every class, (C,)."""

    tp: Tensor
    fp: Tensor
    fn: Tensor
    tn: Tensor


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """(N, H, W) -> (N, C, H, W) float64; a label outside the classes is in none."""
    return torch.stack([labels == c for c in range(classes)], dim=1).double()


def cells(p: Tensor, y: Tensor, where: Tensor) -> Cells:
    """Of maps (N, C, H, W) on the pixels ``where`` (N, 1, H, W), or (N, C, H, W)."""
    parts = (p * y, p * (1 - y), (1 - p) * y, (1 - p) * (1 - y))
    return Cells(*((part * where).sum(dim=(0, 2, 3)) for part in parts))


def lowest(maps: Tensor, seen: Tensor, d: int, outside: float = 1.0) -> Tensor:
    """Minimum over the (2d+1) x (2d+1) window's seen pixels, 1 where there are none.

    ``outside``: what stands around the image.
    """
    known = torch.where(seen, maps, torch.ones_like(maps))
    size = 2 * d + 1
    padded = F.pad(known, [d] * 4, value=outside)
    return padded.unfold(2, size, 1).unfold(3, size, 1).flatten(-2).min(dim=-1).values


def highest(maps: Tensor, d: int) -> Tensor:
    """Maximum over the window, 0 where there is nothing."""
    size = 2 * d + 1
    return F.pad(maps, [d] * 4).unfold(2, size, 1).unfold(3, size, 1).flatten(-2).max(-1).values


def score(metric: str, p: Tensor, target: Tensor, void: int, tolerance: int) -> Tensor:
    """The metric of class maps p (N, C, H, W); mean over the classes that the target has."""
    classes = p.shape[1]
    seen = (target != void)[:, None]
    y = one_hot(torch.where(target == void, -1, target), classes)
    where = seen.double()
    edges = (y - lowest(y, seen, 1)) * where
    if metric in ("BF1", "BF1_difference", "wBF1(weights=[1,2,0.5,0,3])"):
        e = lowest(p, seen, 1)
        found = (p - e if metric == "BF1_difference" else p + e - 2 * p * e) * where
        return _boundary_f1(edges, found, tolerance, weights_of(metric))
    if metric == "BIoU":
        where = where * highest(edges, tolerance).amax(dim=1, keepdim=True)
    if metric.startswith("BoundaryIoU"):
        d = 2 if "radius=2" in metric else round(0.05 * math.hypot(*target.shape[1:]))
        outside = 1.0 if "border=0" in metric else 0.0
        y, p = ((maps - lowest(maps, seen, d, outside)) * where for maps in (y, p))
    return of_cells(metric, cells(p, y, where))


def _boundary_f1(edges: Tensor, found: Tensor, tolerance: int, weights: Tensor) -> Tensor:
    right = (found * highest(edges, tolerance)).sum((0, 2, 3)) / found.sum((0, 2, 3))
    recall = (highest(found, tolerance) * edges).sum((0, 2, 3)) / edges.sum((0, 2, 3))
    f1 = (2 * right * recall / (right + recall)).nan_to_num(0.0)
    here = edges.sum((0, 2, 3)) > 0
    return (f1 * weights)[here].sum() / weights[here].sum()


def weights_of(metric: str) -> Tensor:
    """Of five classes; all the same unless the metric's name brings some."""
    given = [1, 2, 0.5, 0, 3] if "weights=" in metric else [1] * 5
    return torch.tensor(given).double()


PER_CLASS: dict[str, Callable[[Cells], Tensor]] = {
    "IoU": lambda c: c.tp / (c.tp + c.fp + c.fn),
    "Acc": lambda c: c.tp / (c.tp + c.fn),
    "Dice": lambda c: 2 * c.tp / (2 * c.tp + c.fp + c.fn),
    "mPrecision": lambda c: c.tp / (c.tp + c.fp),
    "mSpecificity": lambda c: c.tn / (c.tn + c.fp),
    "Fbeta(beta=2)": lambda c: 5 * c.tp / (5 * c.tp + 4 * c.fn + c.fp),
    "Tversky(alpha=0.3,beta=0.7)": lambda c: c.tp / (c.tp + 0.3 * c.fp + 0.7 * c.fn),
    "Tversky(alpha=0,beta=1)": lambda c: c.tp / (c.tp + c.fn),
}
"""Of a metric by its name, or by a part of it: mIoU and "IoU(classes=[1,3])" are means of IoU."""


def of_cells(metric: str, c: Cells) -> Tensor:
    """The metric of the cells of five classes; mean over those with a pixel in the target."""
    pixels = c.tp + c.fn
    here = pixels > 0
    if metric == "gAcc":
        return c.tp.sum() / pixels.sum()
    weights = weights_of(metric)
    if metric == "FWIoU":
        weights = pixels
    if metric == "IoU(classes=[1,3])":
        weights = torch.tensor([0, 1, 0, 1, 0]).double()
    (per_class,) = (one for name, one in PER_CLASS.items() if name in metric)
    values, weights = per_class(c)[here], weights[here]
    if metric == "worstIoU":
        return values.min()
    return (values.nan_to_num(0.0) * weights).sum() / weights.sum()
