"""One tile of pixels: logits -> sums over its pixels, and back. Runs eagerly, or compiled.

C: classes; T: pixels of a tile. Labels are int32, since vector units hold as many of them as
float32 logits. Under "softmax" they are classes (T,), under "sigmoid" 0 or 1 for each class (C, T);
-1 marks what does not count; logits there, NaN included, change nothing and get a gradient of zero.
Choices are products with masks of 0 and 1: see ``tables.at_least``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from autoseg_core.surrogates.kernels.tables import at_least, slope, value


def softmax_forward(
    logits: Tensor, labels: Tensor, and_table: Tensor, or_table: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Sums over the tile, each (C,): g_and(p_c) over pixels of class c, g_or(p_c) over the others.

    logits: (C, T) float32 or float64. labels: (T,) int32. Tables: ``tables.curve_table`` of that
    dtype; without ``or_table`` g_or is the identity.
    """
    p = _known(logits, labels).softmax(0)
    own, others = _own_and_others(p, labels)
    found = own * value(and_table, _of_target(p, labels))
    return found.sum(1), others.mul_(_claimed(or_table, p)).sum(1)


def softmax_backward(
    logits: Tensor,
    labels: Tensor,
    and_table: Tensor,
    or_table: Tensor | None,
    d_intersection: Tensor,
    d_claimed: Tensor,
) -> Tensor:
    """Gradient in the logits, (C, T), from those of the two sums, (C,) each."""
    p = _known(logits, labels).softmax(0)
    own, others = _own_and_others(p, labels)
    d_own = slope(and_table, _of_target(p, labels)) * d_intersection[labels.clamp(min=0)]
    d_other = _d_claimed(or_table, p, d_claimed)
    dp = own.mul_(d_own).addcmul_(others, d_other)
    return dp.sub_((p * dp).sum(0)).mul_(p)


def sigmoid_forward(
    logits: Tensor, labels: Tensor, and_table: Tensor, or_table: Tensor | None
) -> tuple[Tensor, Tensor]:
    """As ``softmax_forward``, of classes that do not exclude each other; labels (C, T) int32."""
    p = _known(logits, labels).sigmoid()
    own, others = _equal(labels.to(p.dtype), 1), _equal(labels.to(p.dtype), 0)
    return own.mul_(value(and_table, p)).sum(1), others.mul_(_claimed(or_table, p)).sum(1)


def sigmoid_backward(
    logits: Tensor,
    labels: Tensor,
    and_table: Tensor,
    or_table: Tensor | None,
    d_intersection: Tensor,
    d_claimed: Tensor,
) -> Tensor:
    """As ``softmax_backward``."""
    p = _known(logits, labels).sigmoid()
    own, others = _equal(labels.to(p.dtype), 1), _equal(labels.to(p.dtype), 0)
    d_own = slope(and_table, p).mul_(d_intersection[:, None])
    d_other = _d_claimed(or_table, p, d_claimed)
    return own.mul_(d_own).addcmul_(others, d_other).mul_(p).mul_(1 - p)


FORWARD: dict[str, Callable[..., Any]] = {"softmax": softmax_forward, "sigmoid": sigmoid_forward}
BACKWARD: dict[str, Callable[..., Any]] = {
    "softmax": softmax_backward,
    "sigmoid": sigmoid_backward,
}


def _known(logits: Tensor, labels: Tensor) -> Tensor:
    # A choice, not a product: NaN times 0 is NaN.
    return torch.where(labels >= 0, logits, 0.0)


def _own_and_others(p: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """1 where a class meets its own pixels, and where it meets those of others; else 0. (C, T)."""
    classes, numbers = torch.arange(p.shape[0], dtype=p.dtype, device=p.device), labels.to(p.dtype)
    own = _equal(numbers.repeat(p.shape[0], 1), classes[:, None])
    return own, at_least(numbers, 0.0) - own


def _equal(x: Tensor, y: Tensor | float) -> Tensor:
    return torch.eq(x, y, out=torch.empty_like(x))


def _of_target(p: Tensor, labels: Tensor) -> Tensor:
    """The probability (T,) of each pixel's class."""
    return p.gather(0, labels.clamp(min=0).long()[None])[0]


def _claimed(or_table: Tensor | None, p: Tensor) -> Tensor:
    return p if or_table is None else value(or_table, p)


def _d_claimed(or_table: Tensor | None, p: Tensor, d_claimed: Tensor) -> Tensor:
    if or_table is None:
        return d_claimed[:, None]
    return slope(or_table, p).mul_(d_claimed[:, None])
