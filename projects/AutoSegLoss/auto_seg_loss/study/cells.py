"""One cell: trained in its folder as by train_net.py, scored, and looked at."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.utils.env import seed_all_rng

from auto_seg_loss.data import DATA_ERRORS
from auto_seg_loss.modeling import build_model
from auto_seg_loss.runtime.checkpoints import LAST
from auto_seg_loss.runtime.log_levels import only_warnings
from auto_seg_loss.runtime.resume import begin_training
from auto_seg_loss.study.inspection import (
    measure,
    prediction_file,
    save_predictions,
    shown_records,
)
from auto_seg_loss.study.matrix import Cell, measures
from auto_seg_loss.study.record import Result, Trial, changed_settings
from auto_seg_loss.trainer import Trainer
from auto_seg_loss.weights import WholeCheckpointer
from autoseg_core.files import read_json, replacing
from rl.executors.attempts import is_data_error, one_line

CHECKPOINT, CONFIG = "model_final.pth", "config.yaml"
TRAINED = "trained.json"
"""Of which trial the checkpoint of a cell's folder is, and its scores when it was trained."""

logger = logging.getLogger(__name__)


def is_complete(cell: Cell, result: Result) -> bool:
    """Whether nothing is left to do for it; a training that diverged leaves nothing to look at."""
    if "scores" not in result or "failed" in result:
        return False
    scores = result["scores"].get(cell.config.DATASETS.TEST[0])
    return not scores or not (_missing(cell.config, scores) or _unseen(cell.config, cell.trial))


def predictions_of(cfg: CfgNode, trial: Trial) -> Path:
    """Where those of a cell's trial are kept; the cell's folder may be another one's by now."""
    return Path(cfg.OUTPUT_DIR, "predictions", trial.name)


def complete(cfg: CfgNode, known: Result, trial: Trial, settings: Mapping[str, Any]) -> Result:
    """Train a cell, measure it and keep its predictions, as far as that is not done yet.

    known: what the record of these settings says of the trial. The checkpoint in the folder is used
    when it is of this trial, also where the record does not know of it yet.

    Any exception of the training is a failure of this cell alone, with its reason and traceback,
    unless it tells of a file, which ends the study.
    """
    try:
        with only_warnings():
            scores = _scores(cfg, known, trial, settings)
    except Exception as error:
        if is_data_error(error, DATA_ERRORS):
            raise
        return {**known, "failed": one_line(error), "trace": traceback.format_exc()}
    return {"scores": {cfg.DATASETS.TEST[0]: scores} if scores else {}}


def _scores(
    cfg: CfgNode, known: Result, trial: Trial, settings: Mapping[str, Any]
) -> dict[str, float]:
    folder, shown = Path(cfg.OUTPUT_DIR), predictions_of(cfg, trial)
    scores = _kept(folder, trial, settings)
    if scores is None:
        for left in shown.glob("*.png"):
            left.unlink()
        scores = train_and_test(cfg)
        _keep(folder, trial, settings, scores)
    else:
        scores |= known.get("scores", {}).get(cfg.DATASETS.TEST[0], {})
    missing = _missing(cfg, scores)
    if scores and (missing or _unseen(cfg, trial)):
        model = build_model(cfg)
        WholeCheckpointer(model).load(str(folder / CHECKPOINT))
        save_predictions(cfg, model, shown)
        scores |= measure(cfg, model, missing)
    return scores


def train_and_test(cfg: CfgNode) -> dict[str, float]:
    """Scores in [0, 1]; {} of a training that diverged. Starts from nothing that is there."""
    folder = Path(cfg.OUTPUT_DIR)
    # Detectron2 appends to some of these.
    names = (TRAINED, CHECKPOINT, LAST, "metrics.json")
    for left in (*(folder / one for one in names), *folder.glob("events.out.*")):
        left.unlink(missing_ok=True)
    begin_training(cfg, resume=False)
    # As train_net.py leaves it, to train or to score the cell by itself.
    (folder / CONFIG).write_text(cfg.dump(), encoding="utf-8")
    seed_all_rng(cfg.SEED)
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=False)
    try:
        percent = trainer.train()["sem_seg"]
    except FloatingPointError as error:  # an outcome of this loss, not of the study
        logger.warning("%s: %s", folder, str(error).partition("\n")[0])
        return {}
    return {name: percent[name] / 100 for name in measures(cfg) if name in percent}


def _kept(folder: Path, trial: Trial, settings: Mapping[str, Any]) -> dict[str, float] | None:
    """Scores of the trial whose checkpoint is in the folder; None for any other."""
    path = folder / TRAINED
    if not path.is_file():
        return None
    kept = read_json(path, dict[str, Any], "delete it: the cell is trained again.")
    other = kept["trial"] != trial.name or changed_settings(kept["settings"], settings)
    lost = kept["scores"] and not (folder / CHECKPOINT).is_file()
    return None if other or lost else kept["scores"]


def _keep(
    folder: Path, trial: Trial, settings: Mapping[str, Any], scores: dict[str, float]
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content = {"trial": trial.name, "settings": settings, "scores": scores}
    with replacing(folder / TRAINED) as partial:
        partial.write_text(json.dumps(content), encoding="utf-8")


def _missing(cfg: CfgNode, scores: Result) -> list[str]:
    return [name for name in measures(cfg) if name not in scores]


def _unseen(cfg: CfgNode, trial: Trial) -> bool:
    """Whether predictions lack of images that are to be shown."""
    folder = predictions_of(cfg, trial)
    return not all(prediction_file(folder, one).is_file() for one in shown_records(cfg))
