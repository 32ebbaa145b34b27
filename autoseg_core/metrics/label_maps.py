"""Label maps -> counts of each region that a metric looks at, by C++ kernels or in PyTorch.

N: images; H, W: pixels; C: classes; "...": pixels, of two or three sides.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from autoseg_core import native
from autoseg_core.counts import BoundaryCounts, Counts, RegionCounts
from autoseg_core.metrics.boundaries import boundary_counts, in_own_band, near_boundary
from autoseg_core.scores import BoundaryBand, Region
from autoseg_core.void import void_text

MOST_CLASSES = 2**15 - 3
"""Largest number of classes of the kernels, which store labels in 16 bits."""
FAR = 32
"""Largest tolerance of the kernels: their time grows with its square, PyTorch's with its log."""


@dataclass(frozen=True)
class Rules:
    """What is counted. void: the void labels; in a target the first one stands for all of them.
    tolerance: pixels. edges_see_void: void is a label that causes edges.
    """

    num_classes: int
    void: tuple[int, ...]
    tolerance: int
    edges_see_void: bool
    drop_background: bool


def label_counts(
    prediction: Tensor, target: Tensor, regions: Collection[Region], rules: Rules
) -> dict[Region, Counts]:
    """Counts of each region, (C,) int64 on the CPU.

    prediction, target: (N, H, W) signed integers or uint8 on one device; the target in [0, C) or
    void, the prediction in [0, C) where the target is valid or ``edges_see_void``. Raises
    ``ValueError`` for other labels.
    """
    largest = max(target.shape[-2:])  # no pixel is further away
    rules = replace(rules, tolerance=min(rules.tolerance, largest))
    has_kernel = _has_kernel(target, rules)
    quick = [region for region in regions if has_kernel and not isinstance(region, BoundaryBand)]
    others = [region for region in regions if region not in quick]
    counts = _kernel_counts(prediction, target, quick, rules) if quick else {}
    counts |= plain_counts(prediction, target, others, rules) if others else {}
    return {region: counts[region] for region in regions}


def _has_kernel(target: Tensor, rules: Rules) -> bool:
    small = rules.num_classes <= MOST_CLASSES and rules.tolerance <= FAR
    return native.CPU and target.device.type == "cpu" and small


def _kernel_counts(
    prediction: Tensor, target: Tensor, regions: Collection[Region], rules: Rules
) -> dict[Region, Counts]:
    try:
        sums = torch.ops.autoseg.label_counts(
            prediction,
            target,
            rules.num_classes,
            rules.void[0],
            rules.tolerance,
            rules.edges_see_void,
            rules.drop_background,
            "trimap" in regions,
            "boundary" in regions,
        )
    except ValueError:
        _checked(prediction, target, rules)  # raises an error that names the labels
        raise
    counts: dict[Region, Counts] = {
        "image": _region_counts(sums[:3]),
        "trimap": _region_counts(sums[3:6]),
        "boundary": BoundaryCounts(*sums[6:].unbind()),
    }
    return {region: counts[region] for region in regions}


def _region_counts(sums: Tensor) -> RegionCounts:
    target, both, union = sums.unbind()
    return RegionCounts(target, both, union, target.sum().expand_as(target))


def plain_counts(
    prediction: Tensor, target: Tensor, regions: Collection[Region], rules: Rules
) -> dict[Region, Counts]:
    """``label_counts`` in PyTorch, on any device: what the kernels must equal."""
    prediction, target, seen, valid = _checked(prediction, target, rules)
    classes, tolerance = rules.num_classes, rules.tolerance

    def count(region: Region) -> Counts:
        if region == "boundary":
            return boundary_counts(prediction, target, seen, classes, tolerance)
        in_prediction = in_target = pixels = valid
        if region == "trimap":
            near = near_boundary(target, seen, classes, tolerance, rules.drop_background)
            in_prediction = in_target = pixels = valid & near
        if isinstance(region, BoundaryBand):
            width = region.pixels(*target.shape[-2:])
            in_prediction = in_own_band(prediction, seen, width, region.border) & valid
            in_target = in_own_band(target, seen, width, region.border) & valid
        return region_counts(prediction, target, in_prediction, in_target, pixels, classes)

    return {region: count(region).cpu() for region in regions}


def region_counts(
    prediction: Tensor,
    target: Tensor,
    in_prediction: Tensor,
    in_target: Tensor,
    pixels: Tensor,
    num_classes: int,
) -> RegionCounts:
    """Count target, intersection and union of every class, and all pixels: (C,) int64.

    prediction, target: (N, H, W) int64 labels. in_prediction, in_target: bool of that shape, where
    they count; there they are in [0, C). pixels: bool of that shape, all that are looked at.
    """

    def count(labels: Tensor, mask: Tensor) -> Tensor:
        return torch.bincount(labels[mask], minlength=num_classes)

    truth = count(target, in_target)
    both = count(target, in_target & in_prediction & (target == prediction))
    union = truth + count(prediction, in_prediction) - both
    return RegionCounts(truth, both, union, pixels.sum().repeat(num_classes))


def multilabel_counts(
    prediction: Tensor, target: Tensor, valid: Tensor, void: tuple[int, ...]
) -> RegionCounts:
    """Count target, intersection and union pixels of every class: (C,) int64 on the CPU.

    prediction, target: (N, C, ...), 1 where a pixel is of the class, else 0. valid: of that shape,
    bool; where it is false the pixel does not count for that class, and both may be anything. void:
    the labels of such pixels, for errors. Raises ``ValueError`` for values other than 0 and 1.
    """
    for name, values in (("target", target), ("prediction", prediction)):
        wrong = valid & (values != 0) & (values != 1)
        if bool(wrong.any()):
            raise ValueError(
                f"The {name} of a multi-label map must hold 0 and 1 (void is {void_text(void)} in "
                f"the target), got {sorted(set(values[wrong].tolist()))[:10]}."
            )
    truth, guess = valid & (target == 1), valid & (prediction == 1)

    def count(pixels: Tensor) -> Tensor:
        return pixels.transpose(0, 1).flatten(1).sum(1)

    return RegionCounts(
        count(truth), count(truth & guess), count(truth | guess), count(valid)
    ).cpu()


def _checked(
    prediction: Tensor, target: Tensor, rules: Rules
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Both maps in int64, void as label C; pixels that edges see; pixels whose target is valid."""
    prediction, target = prediction.long(), target.long()
    valid = target != rules.void[0]
    seen = torch.ones_like(valid) if rules.edges_see_void else valid
    name = f"target (void is {void_text(rules.void)})"
    _check_labels(target, valid, rules.num_classes, name)
    _check_labels(prediction, seen, rules.num_classes, "prediction")
    return prediction, torch.where(valid, target, rules.num_classes), seen, valid


def _check_labels(labels: Tensor, where: Tensor, num_classes: int, name: str) -> None:
    bad = ((labels < 0) | (labels >= num_classes)) & where
    if bool(bad.any()):
        raise ValueError(
            f"The {name} holds labels {labels[bad].unique().tolist()[:10]} outside the classes "
            f"0..{num_classes - 1}."
        )
