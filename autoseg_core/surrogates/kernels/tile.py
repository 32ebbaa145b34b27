"""One tile of pixels: logits -> sums over its pixels, and back. Runs eagerly, or compiled.

C: classes; T: pixels of a tile. Labels are int32, since vector units hold as many of them as
float32 logits. Under "softmax" they are classes (T,), under "sigmoid" 0 or 1 for each class (C, T);
-1 marks what does not count. Logits there must be finite (the caller puts zeros there) and get a
gradient of zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from autoseg_core.surrogates.kernels.tables import slope, value


def softmax_forward(
    logits: Tensor, labels: Tensor, and_table: Tensor, or_table: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Sums over the tile, each (C,): g_and(p_c) over pixels of class c, g_or(p_c) over the others.

    logits: (C, T) float32 or float64. labels: (T,) int32. Tables: ``tables.curve_table`` of that
    dtype; without ``or_table`` g_or is the identity.
    """
    p = logits.softmax(0)
    own, of_target = _own(p, labels)
    intersection = torch.where(own, value(and_table, of_target), 0.0).sum(1)
    return intersection, torch.where(own | (labels < 0), 0.0, _claimed(or_table, p)).sum(1)


def softmax_backward(
    logits: Tensor,
    labels: Tensor,
    and_table: Tensor,
    or_table: Tensor | None,
    d_intersection: Tensor,
    d_claimed: Tensor,
) -> Tensor:
    """Gradient in the logits, (C, T), from those of the two sums, (C,) each."""
    p = logits.softmax(0)
    own, of_target = _own(p, labels)
    d_own = slope(and_table, of_target) * d_intersection[labels.clamp(min=0)]
    d_other = _d_claimed(or_table, p) * d_claimed[:, None]
    dp = torch.where(labels < 0, 0.0, torch.where(own, d_own, d_other))
    return p * (dp - (p * dp).sum(0))


def sigmoid_forward(
    logits: Tensor, labels: Tensor, and_table: Tensor, or_table: Tensor | None
) -> tuple[Tensor, Tensor]:
    """As ``softmax_forward``, of classes that do not exclude each other; labels (C, T) int32."""
    p = logits.sigmoid()
    intersection = torch.where(labels == 1, value(and_table, p), 0.0).sum(1)
    return intersection, torch.where(labels == 0, _claimed(or_table, p), 0.0).sum(1)


def sigmoid_backward(
    logits: Tensor,
    labels: Tensor,
    and_table: Tensor,
    or_table: Tensor | None,
    d_intersection: Tensor,
    d_claimed: Tensor,
) -> Tensor:
    """As ``softmax_backward``."""
    p = logits.sigmoid()
    d_own = slope(and_table, p) * d_intersection[:, None]
    d_other = _d_claimed(or_table, p) * d_claimed[:, None]
    dp = torch.where(labels == 1, d_own, torch.where(labels == 0, d_other, 0.0))
    return p * (1 - p) * dp


FORWARD: dict[str, Callable[..., Any]] = {"softmax": softmax_forward, "sigmoid": sigmoid_forward}
BACKWARD: dict[str, Callable[..., Any]] = {
    "softmax": softmax_backward,
    "sigmoid": sigmoid_backward,
}


def _own(p: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Where a class meets its own pixels, (C, T) bool, and the probability (T,) of each's class."""
    classes = torch.arange(p.shape[0], dtype=labels.dtype, device=p.device)
    of_target = p.gather(0, labels.clamp(min=0).long()[None])[0]
    return classes[:, None] == labels, of_target


def _claimed(or_table: Tensor | None, p: Tensor) -> Tensor:
    return p if or_table is None else value(or_table, p)


def _d_claimed(or_table: Tensor | None, p: Tensor) -> Tensor:
    return torch.ones_like(p) if or_table is None else slope(or_table, p)
