"""Exact region counts of classes that do not exclude each other.

N: images; C: classes; "...": pixels, of two or three sides.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from autoseg_core.counts import RegionCounts
from autoseg_core.metrics.inputs import as_tensor


def class_maps(labels: Any, name: str, num_classes: int) -> Tensor:
    """Maps of 0 and 1 for each class, (N, C, ...) bool or int64, from a tensor or an array.

    labels: bool or integer (N, C, H, W) or (N, C, D, H, W); of one class also (N, H, W). name: of
    what it is, for errors. Raises ``ValueError`` for other shapes and types.
    """
    maps = as_tensor(labels)
    if maps.dtype.is_floating_point or maps.dtype.is_complex:
        raise ValueError(
            f"The {name} must hold bools or integers 0 and 1, got {maps.dtype}; a probability "
            "becomes a label by a threshold, such as p > 0.5."
        )
    if num_classes == 1 and maps.ndim == 3:
        maps = maps[:, None]
    if maps.ndim not in (4, 5) or maps.shape[1] != num_classes:
        raise ValueError(
            f"The {name} must be (N, C, H, W) or (N, C, D, H, W) with 0 and 1 for each of C = "
            f"{num_classes} classes, got {tuple(labels.shape)}."
        )
    # Wide enough for any ignore_index, which must not come around to a value of the maps.
    return maps if maps.dtype == torch.bool else maps.long()


def multilabel_counts(
    prediction: Tensor, target: Tensor, valid: Tensor, void: str = "255"
) -> RegionCounts:
    """Count target, intersection and union pixels of every class: (C,) int64.

    prediction, target: ``class_maps`` of one shape and device; 1 where a pixel is of the class.
    valid: of that shape, bool; where it is false the pixel does not count for that class, and both
    may be anything. void: the labels of such pixels, for errors. Raises ``ValueError`` for other
    values than 0 and 1.
    """
    for name, values in (("target", target), ("prediction", prediction)):
        wrong = valid & (values != 0) & (values != 1)
        if bool(wrong.any()):
            raise ValueError(
                f"The {name} of a multi-label map must hold 0 and 1 (void is {void} in the "
                f"target), got {sorted(set(values[wrong].tolist()))[:10]}."
            )
    truth, guess = valid & (target == 1), valid & (prediction == 1)

    def count(pixels: Tensor) -> Tensor:
        return pixels.transpose(0, 1).flatten(1).sum(1)

    return RegionCounts(count(truth), count(truth & guess), count(truth | guess), count(valid))
