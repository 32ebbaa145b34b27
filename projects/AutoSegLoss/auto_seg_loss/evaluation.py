"""Exact scores of a network on data sets, as a Detectron2 evaluator. H, W: pixels; C: classes."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog, build_detection_test_loader
from detectron2.evaluation import DatasetEvaluator, inference_on_dataset, print_csv_format
from detectron2.utils import comm
from tabulate import tabulate
from torch import nn

from auto_seg_loss.data.catalog import Pairs, label_rule
from auto_seg_loss.data.labels import read_label
from auto_seg_loss.data.mapper import build_mapper
from autoseg_core import PAPER_METRICS, SegmentationScores
from autoseg_core.metrics.protocols import ProtocolName

logger = logging.getLogger(__name__)


class SegmentationScoresEvaluator(DatasetEvaluator):
    """Scores in percent, mIoU, FWIoU, mAcc, gAcc, BIoU, BF1 by default, and a table per class.

    Counts are added image by image; no prediction is kept. With several processes each evaluates
    its share, and the counts, not the scores, are summed.

    class_names: length C. rule: keywords of ``read_label`` for the label files. protocol, settings:
    of ``autoseg_core.SegmentationScores``. also: further protocols, scored in the same pass.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        rule: dict[str, Any],
        *,
        protocol: ProtocolName = "strict",
        also: Sequence[ProtocolName] = (),
        **settings: Any,
    ) -> None:
        self._class_names, self._rule = list(class_names), rule
        classes = len(self._class_names)
        self._all = [
            SegmentationScores(classes, ignore_index=255, protocol=one, **settings)
            for one in (protocol, *also)
        ]
        self.scores = self._all[0]

    def reset(self) -> None:
        """Forget the images seen."""
        for scores in self._all:
            scores.reset()

    def process(self, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> None:
        """Add images: ``outputs[i]["sem_seg"]`` is (C, H, W), H and W those of the label.

        The label is that of the input, "sem_seg", if it has one, as centre crops do, else that of
        its file, "sem_seg_file_name".
        """
        for image, output in zip(inputs, outputs, strict=True):
            target = image.get("sem_seg")
            if target is None:
                target = read_label(image["sem_seg_file_name"], **self._rule)
            prediction = output["sem_seg"].max(dim=0).indices.cpu()
            for scores in self._all:
                scores.update(prediction, target)

    def evaluate(self) -> OrderedDict[str, dict[str, float]] | None:
        """Return ``{"sem_seg": {score: percent}}`` on the main process, None on the others.

        Additional protocols have their own entries, such as "sem_seg_paper".
        """
        comm.synchronize()
        shares = comm.gather(self._all)
        if not comm.is_main_process():
            return None
        first, *others = [
            reduce(SegmentationScores.merge, kind) for kind in zip(*shares, strict=True)
        ]
        table = class_table(self._class_names, first.per_class())
        logger.info("Scores per class (%%):\n%s", table)
        logger.info("Scores (%%):\n%s", protocol_table([first, *others]))
        results = OrderedDict(sem_seg=self._percent(first))
        for other in others:
            results[f"sem_seg_{other.protocol}"] = self._percent(other)
        return results

    def _percent(self, scores: SegmentationScores) -> dict[str, float]:
        """Scores, and <column>-<class> for those per class."""
        results = {name: 100 * value for name, value in scores.compute().items()}
        for column, values in scores.per_class().items():
            for name, value in zip(self._class_names, values, strict=True):
                results[f"{column}-{name}"] = 100 * value
        return results


def protocol_table(kinds: Sequence[SegmentationScores]) -> str:
    """Text table of the scores in percent, one row per protocol; a single one is not named."""
    rows = []
    for scores in kinds:
        name = {"protocol": scores.protocol} if len(kinds) > 1 else {}
        rows.append({**name, **{key: 100 * value for key, value in scores.compute().items()}})
    return tabulate(rows, headers="keys", floatfmt=".2f")


def class_table(class_names: list[str], per_class: dict[str, list[float]]) -> str:
    """Text table: rows are classes, columns per-class scores in percent; "-" where absent."""
    rows = [
        [name, *("-" if v != v else f"{100 * v:.2f}" for v in values)]
        for name, *values in zip(class_names, *per_class.values(), strict=True)
    ]
    return tabulate(rows, headers=["class", *per_class], disable_numparse=True)


def metrics_of(cfg: CfgNode) -> tuple[str, ...]:
    """Names of the scores that tests report."""
    return (*PAPER_METRICS, *cfg.TEST.METRICS)


def build_test_loader(cfg: CfgNode, dicts: Pairs, crop: int = 0) -> Iterable[Any]:
    """Loader over ``dicts``, once, in order, an image at a time; crop: see ``SemSegMapper``."""
    mapper, workers = build_mapper(cfg, False, crop, dicts), cfg.DATALOADER.NUM_WORKERS
    return build_detection_test_loader(dicts, mapper=mapper, num_workers=workers)


def build_evaluator(
    cfg: CfgNode,
    dataset_name: str,
    metrics: Sequence[str] = PAPER_METRICS,
    protocols: Sequence[ProtocolName] = (),
) -> SegmentationScoresEvaluator:
    """Evaluator of records like those of ``dataset_name``, with the settings of TEST.

    protocols: those to report in addition to TEST.PROTOCOL.
    """
    return SegmentationScoresEvaluator(
        MetadataCatalog.get(dataset_name).stuff_classes,
        label_rule(cfg, [dataset_name]),
        protocol=cfg.TEST.PROTOCOL,
        tolerance=cfg.TEST.TOLERANCE,
        drop_background=cfg.TEST.DROP_BACKGROUND,
        metrics=metrics,
        also=[protocol for protocol in protocols if protocol != cfg.TEST.PROTOCOL],
    )


def evaluate(
    cfg: CfgNode, model: nn.Module, evaluators: Sequence[DatasetEvaluator]
) -> dict[str, Any]:
    """Results on DATASETS.TEST by the evaluator of each; a single data set is not named."""
    results = {}
    for name, evaluator in zip(cfg.DATASETS.TEST, evaluators, strict=True):
        loader = build_test_loader(cfg, DatasetCatalog.get(name))
        results[name] = inference_on_dataset(model, loader, evaluator)
        if comm.is_main_process():
            logger.info("Results for %s in csv format:", name)
            print_csv_format(results[name])
    return next(iter(results.values())) if len(results) == 1 else results


def score(
    cfg: CfgNode,
    model: nn.Module,
    dicts: Pairs,
    dataset_name: str,
    metrics: Sequence[str] = PAPER_METRICS,
    crop: int = 0,
) -> dict[str, float]:
    """The exact scores of ``model`` on ``dicts``, or on their centre crops, in [0, 1]."""
    evaluator = build_evaluator(cfg, dataset_name, metrics)
    loader = build_test_loader(cfg, dicts, crop)
    inference_on_dataset(model, loader, evaluator)
    return evaluator.scores.compute()
