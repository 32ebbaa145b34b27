"""The definition of a metric, and the rules that hold for all metrics.

C: classes; H, W: pixels. ``registry`` registers metrics.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from autoseg_core.counts import Counts
from autoseg_core.scores import ratios

AbsentRule = Literal["target", "defined", "none"]


@dataclass(frozen=True)
class BoundaryBand:
    """A region: the inner band of every class, its pixels within a distance of another class.

    The distance is in pixels (``radius`` >= 1) or a share of the image diagonal (``diagonal`` in
    (0, 1), at least one pixel); the other one is None. border: the outside of the image counts as
    another class, so that the image border is an edge (Boundary IoU, Cheng et al. 2021,
    arXiv 2103.16562, sec. 4, as its authors compute it).
    """

    radius: int | None = None
    diagonal: float | None = None
    border: bool = True

    def pixels(self, height: int, width: int) -> int:
        """The distance in pixels for images of this size."""
        if self.radius is not None:
            return min(self.radius, max(1, height, width))  # no pixel is further away
        assert self.diagonal is not None
        return max(1, round(self.diagonal * math.hypot(height, width)))


Region = Literal["image", "trimap", "boundary"] | BoundaryBand
_REGIONS = ("image", "trimap", "boundary")
_READS = (("intersection", "union"), ("intersection",), ("union",))


@dataclass(frozen=True)
class Metric:
    """A metric. Give ``per_class``, or ``score``, or both.

    name: a word; losses, configs and tables use it.
    per_class: counts -> (C,) in [0, 1]; None = no column in per-class tables.
    score: counts, present (C,) bool -> scalar in [0, 1]; None = the mean of ``per_class`` over the
    present classes.
    region: where the metric looks: "image" (all valid pixels), "trimap" (valid pixels near a
    target boundary), "boundary" (the boundary pixels themselves) or a ``BoundaryBand``. It decides
    the kind of counts: ``BoundaryCounts`` for "boundary", else ``RegionCounts``.
    column: name of ``per_class`` in tables; None = the metric's name.
    defined: counts -> (C,) bool, classes whose ratio is not 0/0; None = those in target or
    prediction, and for "boundary" those with a boundary in the target.
    reads: which of the intersection and the union, in this order, its value depends on; a surrogate
    has a curve for each. Unused for "boundary".
    classes: indices of the classes it looks at; None = all.

    Counts may be 0, soft, and carry gradients: divide with ``numerics.safe_divide``. Raises
    ``ValueError`` without a function, and for an unknown region or unknown counts.
    """

    name: str
    per_class: Callable[[Any], Tensor] | None = None
    score: Callable[[Any, Tensor], Tensor] = None  # type: ignore[assignment]  # set below
    region: Region = "image"
    column: str = None  # type: ignore[assignment]  # set below
    defined: Callable[[Any], Tensor] = None  # type: ignore[assignment]  # set below
    reads: tuple[str, ...] = ("intersection", "union")
    classes: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.per_class is None and self.score is None:
            raise ValueError(f"Metric {self.name!r} needs a function: give per_class or score.")
        if not isinstance(self.region, BoundaryBand) and self.region not in _REGIONS:
            raise ValueError(
                f"Metric {self.name!r}: expected a BoundaryBand or one of the regions "
                f"{', '.join(_REGIONS)}, got {self.region!r}."
            )
        if self.reads not in _READS:
            raise ValueError(f"Metric {self.name!r}: reads {self.reads!r} is not in {_READS}.")
        for name, value in {
            "score": self.per_class and partial(ratios.mean_of, self.per_class),
            "column": self.name,
            "defined": ratios.target_seen if self.region == "boundary" else ratios.union_seen,
        }.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

    @property
    def has_tolerance(self) -> bool:
        """Whether its value depends on the tolerance in pixels of scores and losses."""
        return self.region in ("trimap", "boundary")


def present_classes(
    metric: Metric, counts: Counts, rule: AbsentRule, drop_background: bool = False
) -> Tensor:
    """Which classes the average runs over, (C,) bool.

    rule: "target" leaves out classes without a target pixel (strict evaluation and losses with
    ``absent="ignore"``: no jump when a soft prediction reaches zero); "defined" only those whose
    ratio is 0/0 (released evaluator, mmsegmentation); "none" leaves none out, so an absent class
    scores 0 (the released losses).
    drop_background: metrics of boundaries and bands leave class 0 out as well, as released on VOC.
    Raises ``ValueError`` when the metric looks at classes that the counts do not have.
    """
    present = seen_classes(metric, counts, rule)
    if metric.classes is not None:
        present = present & _chosen(metric, present)
    if drop_background and (metric.region == "boundary" or isinstance(metric.region, BoundaryBand)):
        present = torch.cat([torch.zeros_like(present[:1]), present[1:]])
    return present


def seen_classes(metric: Metric, counts: Counts, rule: AbsentRule) -> Tensor:
    """Which classes ``rule`` keeps, (C,) bool, whether the metric looks at them or not."""
    if rule == "target":
        return counts.target > 0
    if rule == "defined":
        return metric.defined(counts)
    return torch.ones_like(counts.target, dtype=torch.bool)


def _chosen(metric: Metric, present: Tensor) -> Tensor:
    number = len(present)
    assert metric.classes is not None
    if max(metric.classes) >= number:
        raise ValueError(
            f"{metric.name} looks at class {max(metric.classes)}, but there are only classes "
            f"0..{number - 1}."
        )
    # Set on the device: a CUDA graph cannot capture a copy from the host.
    chosen = torch.zeros_like(present)
    for index in metric.classes:
        chosen[index] = True
    return chosen
