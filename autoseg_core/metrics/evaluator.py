"""SegmentationScores: exact metrics, streamed over a data set.

N: images; H, W: pixels; C: classes. State: (C,) int64 counts for each region that a metric looks
at, nothing else, so memory does not grow with the data set and two halves of it can be merged.

With ``drop_background`` (the released rule on VOC, where class 0 is background) edges of class 0
are not part of the trimap, and BF1 and Boundary IoU average the other classes; BIoU still averages
all, as released.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from autoseg_core import native
from autoseg_core.counts import BoundaryCounts, Counts, RegionCounts
from autoseg_core.metrics.inputs import Labels, class_maps, label_maps
from autoseg_core.metrics.label_maps import Rules, label_counts, multilabel_counts
from autoseg_core.metrics.protocols import PROTOCOLS, ProtocolName
from autoseg_core.numerics import whole_number
from autoseg_core.scores import (
    PAPER_METRICS,
    Metric,
    Region,
    get_metric,
    present_classes,
    seen_classes,
)
from autoseg_core.void import IgnoreIndex, check_map_void, void_labels


class SegmentationScores:
    """Streaming scores: the paper's six, or any metrics of the catalog.

    num_classes: C. ignore_index: the target's void label, or several. tolerance: radius in pixels
    of trimap and boundary match, at the resolution of the label maps. protocol: "strict" or
    "paper" (``protocols``). drop_background: see the module. metrics: names of the metrics to
    compute (``scores.get_metric``); only the counts they need are made. multilabel: classes are
    not mutually exclusive, as with the loss's activation="sigmoid"; metrics of the whole image
    only. Raises ``ValueError`` for unknown metrics, and for metrics that do not fit the classes
    or ``multilabel``.
    """

    def __init__(
        self,
        num_classes: int,
        ignore_index: IgnoreIndex = 255,
        tolerance: int = 5,
        protocol: ProtocolName = "strict",
        drop_background: bool = False,
        metrics: Sequence[str] = PAPER_METRICS,
        multilabel: bool = False,
    ) -> None:
        native.say_if_missing()
        if protocol not in PROTOCOLS:
            known = ", ".join(PROTOCOLS)
            raise ValueError(f"Unknown protocol {protocol!r}; known protocols: {known}.")
        self.num_classes = whole_number("num_classes", num_classes, least=1)
        self.tolerance = whole_number("tolerance", tolerance, least=0)
        self.void = void_labels(ignore_index)
        self.ignore_index = self.void[0]
        self.protocol = protocol
        self.drop_background = drop_background
        self.metrics = _names(metrics)
        self.multilabel = multilabel
        if multilabel:
            self._check_whole_images("Multi-label maps")
            check_map_void(self.void)
        regions = (get_metric(name).region for name in self.metrics)
        self._regions: tuple[Region, ...] = tuple(dict.fromkeys(regions))
        self.reset()
        self.compute()  # fails now if a metric does not fit the classes

    def reset(self) -> None:
        """Forget everything seen."""
        # Of each region the four fields of its counts; on the CPU, as all counts are.
        shape = (len(self._regions), 4, self.num_classes)
        self._sums = torch.zeros(shape, dtype=torch.int64, device="cpu")

    @property
    def counts(self) -> dict[Region, Counts]:
        """The counts so far, (C,) int64, by the region that a metric looks at."""
        return self._by_region(self._sums)

    def _by_region(self, sums: Tensor) -> dict[Region, Counts]:
        return {
            region: (BoundaryCounts if region == "boundary" else RegionCounts)(*fields.unbind())
            for region, fields in zip(self._regions, sums.unbind(), strict=True)
        }

    def update(self, prediction: Labels, target: Labels) -> None:
        """Add images.

        prediction, target: integer label maps (H, W) or (N, H, W) of one shape, arrays or tensors
        on one device; also volumes (N, D, H, W), if all metrics look at whole images. Targets are
        classes in [0, C) or ``ignore_index``; masked pixels of a NumPy masked array, in either of
        the two, are void; predictions are classes wherever the target is valid (``strict``) or
        everywhere (``paper``). With ``multilabel``: 0 and 1 for each class, (N, C, H, W) or (N, C,
        D, H, W), integer or bool; of one class also (N, H, W). Raises ``ValueError`` for other
        shapes, types or labels.
        """
        count = self._count_multilabel if self.multilabel else self._count
        found = count(prediction, target)
        fields = [field for region in self._regions for field in found[region].tensors()]
        self._sums = self._sums + torch.stack(fields).view_as(self._sums)

    def _count_multilabel(self, prediction: Labels, target: Labels) -> dict[Region, Counts]:
        maps = class_maps(prediction, target, self.void, self.num_classes)
        return {"image": multilabel_counts(*maps, self.void)}

    def _count(self, prediction: Labels, target: Labels) -> dict[Region, Counts]:
        if np.ndim(target) == 4:
            self._check_whole_images(f"Volumes (N, D, H, W), such as these {np.shape(target)},")
        maps = label_maps(prediction, target, self.void, self.num_classes)
        rules = Rules(
            self.num_classes,
            self.void,
            self.tolerance,
            PROTOCOLS[self.protocol].edges_see_void,
            self.drop_background,
        )
        return label_counts(*maps, self._regions, rules)

    def _check_whole_images(self, what: str) -> None:
        others = [name for name in self.metrics if get_metric(name).region != "image"]
        if others:
            raise ValueError(
                f"{what} work with metrics of whole images only, not with "
                f"{', '.join(others)}: choose metrics, such as metrics=['mIoU', 'Dice']. "
                "Label maps are (N, H, W); maps of 0 and 1 for each class need multilabel=True."
            )

    def merge(self, other: SegmentationScores) -> SegmentationScores:
        """Add the counts of ``other`` (same settings) to this one, and return this one."""
        if not isinstance(other, SegmentationScores):
            raise TypeError(f"Expected SegmentationScores to merge, got {other!r:.200}.")
        if self._settings() != other._settings():
            raise ValueError(
                f"Cannot merge scores with different settings: {self._settings()} and "
                f"{other._settings()}."
            )
        self._sums = self._sums + other._sums
        return self

    @torch.inference_mode()
    def compute(self) -> dict[str, float]:
        """The scores in [0, 1] by name; NaN for a score without a participating class."""
        scores, rule = {}, PROTOCOLS[self.protocol].absent
        for metric, counts in self._counted():
            present = present_classes(metric, counts, rule, self.drop_background)
            score = metric.score(counts, present)
            scores[metric.name] = float(score) if bool(present.any()) else float("nan")
        return scores

    def per_class(self) -> dict[str, list[float]]:
        """C values in [0, 1] for each column of the metrics (IoU, Acc, BIoU, BF1 of the six).

        NaN where the class is absent.
        """
        columns, rule = {}, PROTOCOLS[self.protocol].absent
        for metric, counts in self._counted():
            if metric.per_class is not None:
                values = metric.per_class(counts)
                seen = seen_classes(metric, counts, rule)
                columns[metric.column] = torch.where(seen, values, float("nan")).tolist()
        return columns

    def _counted(self) -> list[tuple[Metric, Counts]]:
        """The metrics, each with its counts in float64."""
        counts = self._by_region(self._sums.double())
        return [(m, counts[m.region]) for m in map(get_metric, self.metrics)]

    def _settings(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name[0] != "_"}


def _names(metrics: Iterable[str]) -> tuple[str, ...]:
    """Canonical names, without duplicates; ``ValueError`` for unknown names or an empty list."""
    several = isinstance(metrics, Iterable) and not isinstance(metrics, str)
    names = tuple(metrics) if several else ()
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"Expected a list of metric names such as ['mIoU'], got {metrics!r}.")
    return tuple(dict.fromkeys(get_metric(name).name for name in names))
