"""Void labels: what ``ignore_index`` may be, and which pixels it leaves."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import reduce
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
import torch
from torch import Tensor

IgnoreIndex: TypeAlias = SupportsIndex | Sequence[SupportsIndex]
"""One label or several: ints, including NumPy's."""


def void_labels(ignore_index: IgnoreIndex) -> tuple[int, ...]:
    """The labels as ints, at least one; ``ValueError`` for anything but int64 integers."""
    several = hasattr(ignore_index, "__iter__") and getattr(ignore_index, "ndim", 1) != 0
    given: Sequence[Any] = ignore_index if several else [ignore_index]  # type: ignore[assignment]
    try:
        labels = tuple(operator.index(label) for label in given)
        whole = not any(isinstance(label, bool) for label in given)
    except TypeError:
        labels, whole = (), False
    if not labels or not whole or any(abs(label) >= 2**63 for label in labels):
        raise ValueError(
            f"ignore_index must be one or several 64-bit integers; got {ignore_index!r}."
            " Without void pixels use a label that never occurs, such as -1."
        )
    return labels


def void_text(void: tuple[int, ...]) -> str:
    """The labels as text for messages: ``254 or 255``."""
    return " or ".join(map(str, void))


def check_map_void(void: tuple[int, ...]) -> None:
    """``ValueError`` for a label that is a value of multi-label maps."""
    if {0, 1}.intersection(void):
        raise ValueError(
            "0 and 1 are the values of multi-label maps: void needs another ignore_index, got "
            f"{void_text(void)}."
        )


def with_one_void(target: Tensor, void: tuple[int, ...]) -> Tensor:
    """The target with all void labels replaced by the first.

    As int64 if its own dtype cannot hold a void label: torch would compare with another number.
    """
    kind = torch.iinfo(target.dtype)
    if not all(kind.min <= label <= kind.max for label in void):
        target = target.long()
    return reduce(
        lambda labels, other: labels.masked_fill(labels == other, void[0]), void[1:], target
    )


def valid_pixels(target: Tensor, void: tuple[int, ...], *given: Any) -> Tensor:
    """Where the target, int64 or bool, is not void, bool.

    given: the originals of target and prediction, with as many pixels; masked pixels of NumPy
    masked arrays are void, too.
    """
    valid = reduce(operator.and_, (target != label for label in void))
    for labels in given:
        if isinstance(labels, np.ma.MaskedArray):
            shown = ~np.ma.getmaskarray(labels).reshape(tuple(valid.shape))
            valid &= torch.from_numpy(shown)
    return valid
