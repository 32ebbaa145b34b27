"""What a trained network shows beside its scores: predictions to look at, and its borders.

H, W: pixels, of pictures at most LONGEST on the longer side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from numpy.typing import NDArray
from PIL import Image

from auto_seg_loss.data import read_image, read_label
from auto_seg_loss.evaluation import (
    Dicts,
    SegmentationScoresEvaluator,
    build_evaluator,
    build_test_loader,
)
from auto_seg_loss.hooks.pictures import evenly_spread
from auto_seg_loss.study.borders import BORDERS
from auto_seg_loss.visualize import shrunk
from autoseg_core import SegmentationScores
from autoseg_core.counts import BoundaryCounts
from autoseg_core.files import replacing

LONGEST = 512


def measure(cfg: CfgNode, model: torch.nn.Module, names: Sequence[str]) -> dict[str, float]:
    """What ``names`` ask for, of a network on the test set.

    A name is a metric, or one at another tolerance than TEST.TOLERANCE, as BF1@2: scores in [0, 1];
    or a measure of BORDERS, a ratio.
    """
    evaluators = {name: _evaluator(cfg, name) for name in names}
    for record, output in _predicted(cfg, model, scored_set(cfg) if names else []):
        for evaluator in evaluators.values():
            evaluator.process([record], [output])
    return {name: _value(name, evaluator.scores) for name, evaluator in evaluators.items()}


def _value(name: str, scores: SegmentationScores) -> float:
    if name not in BORDERS:
        return scores.compute().popitem()[1]
    counts = scores.counts["boundary"]
    assert isinstance(counts, BoundaryCounts)
    return BORDERS[name](counts)


def save_predictions(cfg: CfgNode, model: torch.nn.Module, folder: Path) -> None:
    """Write the label maps of the images that are shown as PNG files of their names."""
    folder.mkdir(parents=True, exist_ok=True)
    for record, output in _predicted(cfg, model, shown_records(cfg)):
        labels = output["sem_seg"].argmax(dim=0).to(torch.uint8).cpu().numpy()
        with replacing(prediction_file(folder, record)) as partial:
            Image.fromarray(labels).save(partial, "PNG")


def shown_records(cfg: CfgNode) -> Dicts:
    """The records of STUDY.IMAGES images, evenly spread over the test set."""
    return evenly_spread(scored_set(cfg), cfg.STUDY.IMAGES)


def read_shown(
    cfg: CfgNode, record: dict[str, Any], folder: Path
) -> tuple[NDArray[np.uint8], NDArray[Any], NDArray[Any]]:
    """Image (H, W, 3), truth (H, W), void as 255, and the prediction (H, W) kept in ``folder``."""
    truth = read_label(
        record["sem_seg_file_name"],
        num_classes=cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES,
        ignore_label=MetadataCatalog.get(cfg.DATASETS.TEST[0]).ignore_label,
        palette=cfg.INPUT.LABEL_PALETTE,
    )
    with Image.open(prediction_file(folder, record)) as file:
        prediction = np.asarray(file)
    image = read_image(record["file_name"], "RGB")
    small = [shrunk(array, LONGEST) for array in (image, truth, prediction)]
    return small[0], small[1], small[2]


def prediction_file(folder: Path, record: dict[str, Any]) -> Path:
    """Where ``save_predictions`` writes that of a record."""
    return folder / f"{Path(record['file_name']).stem}.png"


def scored_set(cfg: CfgNode) -> Dicts:
    """The records of the first of DATASETS.TEST."""
    return DatasetCatalog.get(cfg.DATASETS.TEST[0])


def _predicted(
    cfg: CfgNode, model: torch.nn.Module, records: Dicts
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each record as the network gets it, and what it makes of it."""
    model.eval()
    for batch in build_test_loader(cfg, records) if records else ():
        with torch.no_grad():
            (output,) = model(batch)
        yield batch[0], output


def _evaluator(cfg: CfgNode, name: str) -> SegmentationScoresEvaluator:
    """Of one metric; measures of borders come from the counts of BF1."""
    metric, _, radius = name.partition("@")
    own = cfg.clone()
    own.defrost()
    own.TEST.TOLERANCE = int(radius or cfg.TEST.TOLERANCE)
    metrics = ["BF1" if name in BORDERS else metric]
    return build_evaluator(own, scored_set(cfg), cfg.DATASETS.TEST[0], metrics)
