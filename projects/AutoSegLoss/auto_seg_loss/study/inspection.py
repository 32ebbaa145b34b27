"""Measures of a trained network besides its scores: its borders, and saved predictions.

H, W: pixels, of pictures at most LONGEST on the longer side.

The length and jaggedness of predicted borders follow from the boundary counts of BF1 over a data
set: edge pixels of the prediction and of the truth (inner, one pixel wide, void left out), and
those of either within r of the other's, in the maximum norm, class by class; r: TEST.TOLERANCE.
Both are means over the classes that have a value; NaN if none has.

border_length  edge pixels of the prediction / edge pixels of the truth. 1: as long as the true
               border; more if it is jagged, or if there are false islands.
jaggedness     edge pixels of the prediction within r of a true edge / edge pixels of the truth
               within r of a predicted one: how much border is drawn for each pixel of border that
               is found. A shifted copy of a straight border has 1; a zigzag, or a hatching, that
               stays inside the band has more, and BF1 at that tolerance does not mind. False
               islands away from the truth do not count.

A class that the truth lacks has neither; a class of which nothing is found has no
jaggedness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from PIL import Image
from torch import Tensor

from auto_seg_loss.config import changed
from auto_seg_loss.data import read_image, read_label
from auto_seg_loss.data.catalog import Pairs, image_name, label_rule
from auto_seg_loss.data.labels import read_values
from auto_seg_loss.evaluation import (
    SegmentationScoresEvaluator,
    build_evaluator,
    build_test_loader,
    metrics_of,
)
from auto_seg_loss.hooks.pictures import evenly_spread
from auto_seg_loss.visualize import Image as Picture
from auto_seg_loss.visualize import Labels, shrunk
from autoseg_core import PAPER_METRICS
from autoseg_core.counts import BoundaryCounts
from autoseg_core.files import replacing
from autoseg_core.scores import get_metric

LONGEST = 512
BORDER_METRICS = tuple(name for name in PAPER_METRICS if get_metric(name).region != "image")
"""Those of the six metrics whose score depends on a tolerance."""


def border_length(counts: BoundaryCounts) -> float:
    return _mean_ratio(counts.prediction, counts.target)


def jaggedness(counts: BoundaryCounts) -> float:
    return _mean_ratio(counts.matched_prediction, counts.matched_target)


def _mean_ratio(over: Tensor, under: Tensor) -> float:
    return float(torch.where(under > 0, over.double() / under, torch.nan).nanmean())


BORDERS = {"border_length": border_length, "jaggedness": jaggedness}
"""Name -> measure."""


def measures(cfg: CfgNode) -> tuple[str, ...]:
    """The measures of a network, the target first: the six scores, those of TEST.METRICS, boundary
    scores at STUDY.TOLERANCES, such as BF1@2, and with STUDY.BORDERS the measures of borders."""
    names = [name + suffix for suffix, (_, own) in _by_radius(cfg).items() for name in own]
    return (*names, *(BORDERS if cfg.STUDY.BORDERS else ()))


def measure(cfg: CfgNode, model: torch.nn.Module) -> dict[str, float]:
    """``measures`` on the test set: scores in [0, 1], and ratios for the measures of borders."""
    evaluators = build_evaluators(cfg)
    for record, output in _predicted(cfg, model, scored_set(cfg)):
        for evaluator in evaluators.values():
            evaluator.process([record], [output])
    found = {
        name + suffix: value
        for suffix, evaluator in evaluators.items()
        for name, value in evaluator.scores.compute().items()
    }
    counts = evaluators[""].scores.counts["boundary"]
    assert isinstance(counts, BoundaryCounts)
    found |= {name: value(counts) for name, value in BORDERS.items()}
    return {name: found[name] for name in measures(cfg)}


def build_evaluators(cfg: CfgNode) -> dict[str, SegmentationScoresEvaluator]:
    """One per tolerance, by the suffix of its score names; ``ValueError`` for invalid ones."""
    evaluators = {}
    for suffix, (radius, metrics) in _by_radius(cfg).items():
        own = changed(cfg, {"TEST.TOLERANCE": radius})
        evaluators[suffix] = build_evaluator(own, cfg.DATASETS.TEST[0], metrics)
    return evaluators


def _by_radius(cfg: CfgNode) -> dict[str, tuple[int, tuple[str, ...]]]:
    names = dict.fromkeys(get_metric(name).name for name in (cfg.STUDY.TARGET, *metrics_of(cfg)))
    more = {f"@{radius}": (radius, BORDER_METRICS) for radius in cfg.STUDY.TOLERANCES}
    return {"": (cfg.TEST.TOLERANCE, tuple(names)), **more}


def save_predictions(cfg: CfgNode, model: torch.nn.Module, folder: Path) -> None:
    """Write the predicted label maps of the shown images as PNG files with their names."""
    folder.mkdir(parents=True, exist_ok=True)
    for record, output in _predicted(cfg, model, shown_records(cfg)):
        labels = output["sem_seg"].argmax(dim=0).to(torch.uint8).cpu().numpy()
        with replacing(prediction_file(folder, record)) as partial:
            Image.fromarray(labels).save(partial, "PNG")


def shown_records(cfg: CfgNode) -> Pairs:
    """The records of STUDY.IMAGES images, evenly spread over the test set."""
    return evenly_spread(scored_set(cfg), cfg.STUDY.IMAGES)


def gallery(
    cfg: CfgNode, folders: Sequence[Path], draw: Callable[[Picture, Labels, Labels], Picture]
) -> list[list[Picture]]:
    """Rows of pictures, one for each shown image: the image (H, W, 3), and
    ``draw(image, labels, truth)`` for the truth (H, W), with void as 255, and for the predictions
    in each of ``folders``."""
    rule, rows = label_rule(cfg, cfg.DATASETS.TEST[:1]), []
    for record in shown_records(cfg):
        image = read_image(record["file_name"], "RGB")
        truth = read_label(record["sem_seg_file_name"], **rule)
        files = [str(prediction_file(folder, record)) for folder in folders]
        guesses = [read_values(file) for file in files]
        image, truth, *guesses = (shrunk(one, LONGEST) for one in (image, truth, *guesses))
        rows.append([image, *(draw(image, labels, truth) for labels in (truth, *guesses))])
    return rows


def has_predictions(cfg: CfgNode, folder: Path) -> bool:
    """Whether the predictions of all shown images are in a folder."""
    return all(prediction_file(folder, record).is_file() for record in shown_records(cfg))


def prediction_file(folder: Path, record: dict[str, Any]) -> Path:
    """The file of a record's prediction, from ``save_predictions``."""
    return folder / f"{image_name(record)}.png"


def scored_set(cfg: CfgNode) -> Pairs:
    return DatasetCatalog.get(cfg.DATASETS.TEST[0])


def _predicted(
    cfg: CfgNode, model: torch.nn.Module, records: Pairs
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each record as the network's input, and the network's output."""
    if not records:
        return
    model.eval()
    for batch in build_test_loader(cfg, records):
        with torch.no_grad():
            (output,) = model(batch)
        yield batch[0], output
