"""Detectron2 evaluator for exact scores. H, W: pixels; C: classes."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm
from tabulate import tabulate

from auto_seg_loss.data.labels import read_label
from autoseg_core import SIX, SegmentationScores
from autoseg_core.metrics.evaluator import ProtocolName

logger = logging.getLogger(__name__)


class SegmentationScoresEvaluator(DatasetEvaluator):
    """Scores in percent, mIoU, FWIoU, mAcc, gAcc, BIoU, BF1 by default, and a table per class.

    Counts are added image by image and no prediction is kept. In several processes each evaluates
    its share, and the counts, not the scores, are summed.

    dicts: the data set's records with "file_name" and "sem_seg_file_name". class_names: length C.
    ignore_label: void in the label files. protocol, tolerance, drop_background, metrics: see
    ``autoseg_core.SegmentationScores``.
    """

    def __init__(
        self,
        dicts: list[dict[str, Any]],
        class_names: list[str],
        ignore_label: int,
        *,
        protocol: ProtocolName = "strict",
        tolerance: int = 5,
        drop_background: bool = False,
        metrics: Sequence[str] = SIX,
    ) -> None:
        self._labels = {d["file_name"]: d["sem_seg_file_name"] for d in dicts}
        self._class_names = list(class_names)
        self._ignore_label = ignore_label
        self.scores = SegmentationScores(
            len(self._class_names),
            ignore_index=255,
            tolerance=tolerance,
            protocol=protocol,
            drop_background=drop_background,
            metrics=metrics,
        )

    def reset(self) -> None:
        """Forget the images seen."""
        self.scores.reset()

    def process(self, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> None:
        """Add images: ``outputs[i]["sem_seg"]`` is (C, H, W), H and W those of the label file."""
        for image, output in zip(inputs, outputs, strict=True):
            target = read_label(
                self._labels[image["file_name"]],
                num_classes=len(self._class_names),
                ignore_label=self._ignore_label,
                ignore_value=self.scores.ignore_index,
            )
            self.scores.update(output["sem_seg"].max(dim=0).indices.cpu(), target)

    def evaluate(self) -> OrderedDict[str, dict[str, float]] | None:
        """Return ``{"sem_seg": {score: percent}}`` on the main process, None on the others."""
        comm.synchronize()
        shares = comm.gather(self.scores)
        if not comm.is_main_process():
            return None
        total = shares[0]
        for share in shares[1:]:
            total.merge(share)
        results = {name: 100 * value for name, value in total.compute().items()}
        per_class = total.per_class()
        logger.info("Scores per class (%%):\n%s", class_table(self._class_names, per_class))
        logger.info("Scores (%%):\n%s", tabulate([results], headers="keys", floatfmt=".2f"))
        for column, values in per_class.items():
            for name, value in zip(self._class_names, values, strict=True):
                results[f"{column}-{name}"] = 100 * value
        return OrderedDict(sem_seg=results)


def class_table(class_names: list[str], per_class: dict[str, list[float]]) -> str:
    """Text table: a row a class, a column a per-class score in percent; "-" where it is absent."""
    rows = []
    for index, name in enumerate(class_names):
        values = [columns[index] for columns in per_class.values()]
        rows.append([name, *("-" if v != v else f"{100 * v:.2f}" for v in values)])
    return tabulate(rows, headers=["class", *per_class], disable_numparse=True)
