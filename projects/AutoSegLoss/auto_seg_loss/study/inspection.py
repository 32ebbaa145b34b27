"""What a trained cell shows beside its scores: predictions to look at, and its borders.

Everything is taken from the cell's last checkpoint, so it can also be had later, when a study asks
for more than it did. H, W: pixels; C: classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from numpy.typing import NDArray
from PIL import Image

from auto_seg_loss.checkpoint import WholeCheckpointer
from auto_seg_loss.data import read_label
from auto_seg_loss.evaluation import Dicts, build_test_loader
from auto_seg_loss.hooks.pictures import evenly_spread
from auto_seg_loss.modeling import build_model
from auto_seg_loss.study.borders import border_length, jaggedness
from auto_seg_loss.study.matrix import border_metrics
from autoseg_core import SegmentationScores
from autoseg_core.counts import BoundaryCounts

PREDICTIONS = "predictions"
"""Folder of the label maps, below the cell's; one PNG of class indices an image."""

_VOID = 255


def wanted(cfg: CfgNode) -> dict[str, Any]:
    """What STUDY asks to see of a cell."""
    names = [Path(record["file_name"]).name for record in _shown(cfg, _records(cfg))]
    tolerances = list(cfg.STUDY.TOLERANCES)
    return {"images": names, "tolerances": tolerances, "borders": cfg.STUDY.BORDERS}


def missing_from(shown: dict[str, Any], cfg: CfgNode) -> bool:
    """Whether an inspection lacks something of what STUDY asks for."""
    want = wanted(cfg)
    tolerances = set(want["tolerances"]) <= set(shown.get("tolerances", ()))
    borders = not want["borders"] or "border_length" in shown
    return not (tolerances and borders and want["images"] == shown.get("images", []))


def inspect(cfg: CfgNode, checkpoint: Path) -> dict[str, Any]:
    """Look at the network of a checkpoint with the test set of ``cfg``.

    Writes the label maps of STUDY.IMAGES images beside it, and returns what becomes
    inspection.json: their names, "scores" in percent at STUDY.TOLERANCES, and with STUDY.BORDERS
    "border_length" and "jaggedness" of each class at TEST.TOLERANCE.
    """
    model = build_model(cfg)
    WholeCheckpointer(model).load(str(checkpoint))
    records = _records(cfg)
    shown = {record["file_name"]: place for place, record in enumerate(_shown(cfg, records))}
    scorers = {radius: _scorer(cfg, radius) for radius in _radii(cfg)}
    folder = checkpoint.parent / PREDICTIONS
    folder.mkdir(exist_ok=True)
    everything = records if scorers else [r for r in records if r["file_name"] in shown]
    for record, prediction in predictions(cfg, model, everything):
        if record["file_name"] in shown:
            _save(prediction, folder / f"{shown[record['file_name']]}.png")
        for scorer in scorers.values():
            scorer.update(prediction, read_truth(cfg, record))
    return {**wanted(cfg), **_measured(cfg, scorers)}


def predictions(
    cfg: CfgNode, model: torch.nn.Module, records: Dicts
) -> Iterator[tuple[dict[str, Any], NDArray[np.int64]]]:
    """Each record with the label map (H, W) that the network gives for its image."""
    by_file = {record["file_name"]: record for record in records}
    model.eval()
    with torch.no_grad():
        for inputs in build_test_loader(cfg, records):
            for image, output in zip(inputs, model(inputs), strict=True):
                labels = output["sem_seg"].max(dim=0).indices.cpu().numpy()
                yield by_file[image["file_name"]], labels


def shown_records(cfg: CfgNode) -> Dicts:
    """The records of the images that are shown, evenly spread over the test set."""
    return _shown(cfg, _records(cfg))


def read_truth(cfg: CfgNode, record: dict[str, Any]) -> NDArray[np.integer[Any]]:
    """The label map (H, W) of a record, void as 255."""
    return read_label(
        record["sem_seg_file_name"],
        num_classes=cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES,
        ignore_label=MetadataCatalog.get(cfg.DATASETS.TEST[0]).ignore_label,
        ignore_value=_VOID,
        palette=cfg.INPUT.LABEL_PALETTE,
    )


def _records(cfg: CfgNode) -> Dicts:
    return DatasetCatalog.get(cfg.DATASETS.TEST[0])


def _shown(cfg: CfgNode, records: Dicts) -> Dicts:
    return evenly_spread(records, cfg.STUDY.IMAGES)


def _radii(cfg: CfgNode) -> list[int]:
    own = [cfg.TEST.TOLERANCE] if cfg.STUDY.BORDERS else []
    return list(dict.fromkeys([*cfg.STUDY.TOLERANCES, *own]))


def _scorer(cfg: CfgNode, radius: int) -> SegmentationScores:
    return SegmentationScores(
        cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES,
        ignore_index=_VOID,
        tolerance=radius,
        protocol=cfg.TEST.PROTOCOL,
        drop_background=cfg.TEST.DROP_BACKGROUND,
        metrics=border_metrics(),
    )


def _measured(cfg: CfgNode, scorers: dict[int, SegmentationScores]) -> dict[str, Any]:
    scores = {
        f"{name}@{radius}": 100 * value
        for radius in cfg.STUDY.TOLERANCES
        for name, value in scorers[radius].compute().items()
    }
    if not cfg.STUDY.BORDERS:
        return {"scores": scores}
    counts = scorers[cfg.TEST.TOLERANCE].counts["boundary"]
    assert isinstance(counts, BoundaryCounts)
    found = {"border_length": border_length(counts), "jaggedness": jaggedness(counts)}
    return {"scores": scores, **found}


def _save(labels: NDArray[np.int64], path: Path) -> None:
    Image.fromarray(labels.astype(np.uint8)).save(path)
