"""Exact region counts of classes that do not exclude each other.

N: images; C: classes; "...": pixels, of one or more sides.
"""

from __future__ import annotations

from torch import Tensor

from autoseg_core.counts import RegionCounts


def multilabel_counts(prediction: Tensor, target: Tensor, ignore_index: int) -> RegionCounts:
    """Count target, intersection and union pixels of every class: (C,) int64.

    prediction, target: (N, C, ...) integer or bool of one shape and device; 1 where a pixel is of
    the class, 0 where it is not. Where the target is ``ignore_index`` the pixel does not count for
    that class, and the prediction may be anything. Raises ``ValueError`` for other shapes and
    values.
    """
    if prediction.shape != target.shape or target.ndim < 3:
        raise ValueError(
            "Multi-label predictions and targets must have one shape, (N, C, H, W) with 0 and 1 "
            f"for each class; got {tuple(prediction.shape)} and {tuple(target.shape)}."
        )
    valid = target != ignore_index
    for name, values in (("target", target), ("prediction", prediction)):
        wrong = valid & (values != 0) & (values != 1)
        if bool(wrong.any()):
            raise ValueError(
                f"The {name} of a multi-label map must hold 0 and 1 (void is {ignore_index} in the "
                f"target), got {sorted(set(values[wrong].tolist()))[:10]}."
            )
    truth, guess = valid & (target == 1), valid & (prediction == 1)

    def count(pixels: Tensor) -> Tensor:
        return pixels.transpose(0, 1).flatten(1).sum(1)

    return RegionCounts(count(truth), count(truth & guess), count(truth | guess), count(valid))
