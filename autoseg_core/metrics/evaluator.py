"""SegmentationScores: all six exact metrics, streamed over a data set.

N: images; H, W: pixels; C: classes. State: three kinds of (C,) int64 counts, nothing else, so
memory does not grow with the data set and two halves of it can be merged.

Two protocols:
- ``strict``: a void pixel changes nothing, anywhere: it is no edge, makes no edge, and what is
  predicted there is not looked at. A class without a target pixel (for BF1: without a target
  edge) is absent, as in upstream Detectron2; its v0.6 still counts such a class as 0 once it is
  predicted.
- ``paper``: the numbers of the released evaluator. Edges are those of the raw label maps: the rim
  of a void area is an edge of the target, predictions inside void count as edges, and BF1 looks at
  void pixels too. A class is absent only when neither target nor prediction has it.

With ``drop_background`` (the released rule on VOC, where class 0 is background) edges of class 0 do
not enter the trimap, and BF1 averages the other classes; BIoU still averages all, as released.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autoseg_core.counts import BoundaryCounts, Counts, RegionCounts
from autoseg_core.metrics.boundaries import boundary_counts, near_boundary
from autoseg_core.metrics.regions import region_counts
from autoseg_core.scores import METRICS, AbsentRule, Metric, Region, present_classes

ProtocolName = Literal["strict", "paper"]
Labels = Tensor | NDArray[np.integer[Any]]


@dataclass(frozen=True)
class _Rules:
    """What a protocol decides: what edges see, and when a class is absent."""

    edges_see_void: bool
    absent: AbsentRule


_RULES: dict[str, _Rules] = {
    "strict": _Rules(edges_see_void=False, absent="target"),
    "paper": _Rules(edges_see_void=True, absent="defined"),
}


class SegmentationScores:
    """Streaming mIoU, FWIoU, mAcc, gAcc, BIoU and BF1.

    num_classes: C. ignore_index: the target's void label. tolerance: radius in pixels of trimap and
    boundary match, at the resolution of the label maps. protocol, drop_background: see the module.
    """

    def __init__(
        self,
        num_classes: int,
        ignore_index: int = 255,
        tolerance: int = 5,
        protocol: ProtocolName = "strict",
        drop_background: bool = False,
    ) -> None:
        if protocol not in _RULES:
            known = ", ".join(get_args(ProtocolName))
            raise ValueError(f"Unknown protocol {protocol!r}; known protocols: {known}.")
        if num_classes < 1 or tolerance < 0:
            raise ValueError(
                "Expected num_classes >= 1 and tolerance >= 0; "
                f"got num_classes={num_classes}, tolerance={tolerance}."
            )
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.tolerance = tolerance
        self.protocol = protocol
        self.drop_background = drop_background
        self.reset()

    def reset(self) -> None:
        """Forget everything seen."""
        zero = torch.zeros(self.num_classes, dtype=torch.int64)
        self.counts: dict[Region, Counts] = {
            "image": RegionCounts(zero, zero, zero),
            "trimap": RegionCounts(zero, zero, zero),
            "boundary": BoundaryCounts(zero, zero, zero, zero),
        }

    def update(self, prediction: Labels, target: Labels) -> None:
        """Add images.

        prediction, target: integer label maps (H, W) or (N, H, W) of one shape, arrays or tensors
        on one device. Targets are classes in [0, C) or ``ignore_index``; predictions are classes
        wherever the target is valid (``strict``) or everywhere (``paper``).
        Raises ``ValueError`` for other shapes, types or labels.
        """
        guess, truth = _as_batch(prediction, "prediction"), _as_batch(target, "target")
        if guess.shape != truth.shape:
            raise ValueError(
                "Prediction and target must have the same shape; "
                f"got {tuple(guess.shape)} and {tuple(truth.shape)}."
            )
        valid = truth != self.ignore_index
        rules = _RULES[self.protocol]
        _check_labels(truth[valid], self.num_classes, f"target (void is {self.ignore_index})")
        checked = guess if rules.edges_see_void else guess[valid]
        _check_labels(checked, self.num_classes, "prediction")
        guess = torch.where(valid | rules.edges_see_void, guess, torch.zeros_like(guess))
        for region, counts in self._count(guess, truth, valid, rules).items():
            self.counts[region] = self.counts[region] + counts

    def _count(
        self, guess: Tensor, truth: Tensor, valid: Tensor, rules: _Rules
    ) -> dict[Region, Counts]:
        seen = torch.ones_like(valid) if rules.edges_see_void else valid
        # In raw label maps void is one more label beside the classes: the pixels around it are
        # edges of their class, its own pixels are edges of none.
        raw = torch.where(valid, truth, torch.full_like(truth, self.num_classes))
        trimap = near_boundary(raw, seen, self.num_classes, self.tolerance, self.drop_background)
        return {
            "image": region_counts(guess, truth, valid, self.num_classes).cpu(),
            "trimap": region_counts(guess, truth, valid & trimap, self.num_classes).cpu(),
            "boundary": boundary_counts(guess, raw, seen, self.num_classes, self.tolerance).cpu(),
        }

    def merge(self, other: SegmentationScores) -> SegmentationScores:
        """Add the counts of ``other`` (same settings) to this one, and return this one."""
        if self._settings() != other._settings():
            raise ValueError(
                f"Cannot merge scores with different settings: {self._settings()} and "
                f"{other._settings()}."
            )
        for region, counts in other.counts.items():
            self.counts[region] = self.counts[region] + counts
        return self

    def compute(self) -> dict[str, float]:
        """The six scores in [0, 1]; NaN for a score that no class takes part in."""
        scores = {}
        for name, metric in METRICS.items():
            counts = self.counts[metric.region].double()
            present = self._present(metric, counts, self.drop_background)
            score = metric.score(counts, present)
            scores[name] = float(score) if bool(present.any()) else float("nan")
        return scores

    def per_class(self) -> dict[str, list[float]]:
        """Columns IoU, Acc, BIoU, BF1, each C values in [0, 1]; NaN where the class is absent."""
        columns: dict[str, list[float]] = {}
        for metric in METRICS.values():
            counts = self.counts[metric.region].double()
            values = metric.per_class(counts)
            absent = torch.full_like(values, float("nan"))
            columns[metric.column] = torch.where(
                self._present(metric, counts), values, absent
            ).tolist()
        return columns

    def _present(self, metric: Metric, counts: Counts, drop_background: bool = False) -> Tensor:
        return present_classes(metric, counts, _RULES[self.protocol].absent, drop_background)

    def _settings(self) -> dict[str, object]:
        return {k: v for k, v in vars(self).items() if k != "counts"}


def _as_batch(labels: Labels, name: str) -> Tensor:
    # A copy: torch takes neither flipped nor read-only arrays, and image readers give both.
    tensor = labels if isinstance(labels, Tensor) else torch.from_numpy(np.array(labels))
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise ValueError(f"The {name} must hold integer labels, got {tensor.dtype}.")
    if tensor.ndim not in (2, 3):
        raise ValueError(
            f"The {name} must have shape (H, W) or (N, H, W), got {tuple(tensor.shape)}."
        )
    return tensor.long().reshape(-1, *tensor.shape[-2:])


def _check_labels(labels: Tensor, num_classes: int, name: str) -> None:
    bad = labels[(labels < 0) | (labels >= num_classes)].tolist()
    if bad:
        raise ValueError(
            f"The {name} holds labels {sorted(set(bad))[:10]} outside the classes "
            f"0..{num_classes - 1}."
        )
