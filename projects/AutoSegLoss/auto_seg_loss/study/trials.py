"""Running a trial: in memory, by ``run_trial``, or in its own folder, by ``complete``."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.engine.hooks import CallbackHook
from detectron2.utils.env import seed_all_rng

from auto_seg_loss.config import changed
from auto_seg_loss.data import DATA_ERRORS
from auto_seg_loss.data.catalog import records_of
from auto_seg_loss.evaluation import score
from auto_seg_loss.losses import loss_names
from auto_seg_loss.proxy import starting_network
from auto_seg_loss.runtime.checkpoints import LAST, latest_checkpoint
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.runtime.log_levels import logs_off, only_warnings
from auto_seg_loss.runtime.random_states import undisturbed
from auto_seg_loss.runtime.resume import begin_training
from auto_seg_loss.study.inspection import measure, measures, save_predictions
from auto_seg_loss.study.record import Result, Trial, changed_settings, reported
from auto_seg_loss.train_loop import train
from auto_seg_loss.trainer import Trainer
from autoseg_core.files import DamagedFileError, read_json, write_whole
from rl.executors.serial import is_data_error, one_line

CONFIG, BEGUN = "config.yaml", "trained.json"
"""Files next to a cell's checkpoints: its config, for train_net.py, and its trial."""

logger = logging.getLogger(__name__)


def run_trial(
    cfg: CfgNode, trial: Trial, score_on: Sequence[str], shown: Path | None = None, every: int = 0
) -> Result:
    """Train a network from its start weights and score it exactly; see ``Trial``.

    cfg: of the data, the network and the solver; the trial's fields override it. score_on: names of
    data sets. shown: folder for predictions, see ``save_predictions``. every: also record the
    curve on the first data set, every this many iterations; the training is the same.
    """
    own = trial_config(cfg, trial)
    records = records_of(own.DATASETS.TRAIN)
    curve: list[tuple[int, dict[str, float]]] = []

    def scores(name: str) -> dict[str, float]:
        return score(own, network, DatasetCatalog.get(name), name, reported(own))

    def add_point(trainer: Any) -> None:
        done = trainer.iter + 1
        if every and done % every == 0 and done < trial.iterations:
            with undisturbed(own.MODEL.DEVICE):
                curve.append((done, scores(score_on[0])))

    with logs_off():
        network = starting_network(own)
        try:
            train(own, network, records, trial.seed, CallbackHook(after_step=add_point))
        except FloatingPointError:
            return {"scores": {}}
        if shown is not None:
            save_predictions(own, network, shown)
        result = {"scores": {name: scores(name) for name in score_on}}
    return {**result, "curve": curve} if every else result


def trial_config(cfg: CfgNode, trial: Trial) -> CfgNode:
    """The config of a trial's training; "{seed}" in MODEL.WEIGHTS stands for its seed."""
    named = trial.loss in loss_names()
    return changed(
        cfg,
        {
            "SEED": trial.seed,
            "SOLVER.BASE_LR": trial.rate,
            "SOLVER.MAX_ITER": trial.iterations,
            "MODEL.WEIGHTS": cfg.MODEL.WEIGHTS.replace("{seed}", str(trial.seed)),
            "MODEL.SEM_SEG_HEAD.LOSS_TYPE": trial.loss if named else "auto_seg_loss",
            "MODEL.SEM_SEG_HEAD.LOSS_SPEC": "" if named else trial.loss,
        },
    )


def complete(cfg: CfgNode, trial: Trial, settings: Mapping[str, Any], shown: Path) -> Result:
    """Finish the training of a cell, measure it and save predictions in ``shown``.

    An exception in the training is a failure of only this cell, with its reason and traceback,
    unless it concerns a file, which ends the study.
    """
    try:
        with only_warnings():
            trainer = trained(cfg, trial, settings)
            save_predictions(cfg, trainer.model, shown)
            scores = {name: score / 100 for name, score in trainer.results["sem_seg"].items()}
            if not scores.keys() >= set(measures(cfg)):
                scores = measure(cfg, trainer.model)
            own = {name: scores[name] for name in measures(cfg)}
            return {"scores": {cfg.DATASETS.TEST[0]: own}}
    except FloatingPointError as error:  # a result of this loss, not an error of the study
        logger.warning("%s: %s", cfg.OUTPUT_DIR, str(error).partition("\n")[0])
        return {"scores": {}}
    except Exception as error:
        if is_data_error(error, DATA_ERRORS):
            raise
        return {"failed": one_line(error), "trace": traceback.format_exc()}


def trained(cfg: CfgNode, trial: Trial, settings: Mapping[str, Any]) -> Trainer:
    """The training of a cell, done and scored.

    It resumes from the checkpoint in its folder, if that is complete and of this trial.
    """
    folder = Path(cfg.OUTPUT_DIR)
    resume = _can_go_on(folder, trial, settings)
    if not resume:
        for left in (folder / BEGUN, folder / LAST, *folder.glob("events.out.*")):
            left.unlink(missing_ok=True)
    begin_training(cfg, resume)
    write_whole(folder / BEGUN, json.dumps({"trial": trial.name, "settings": settings}))
    (folder / CONFIG).write_text(cfg.dump(), encoding="utf-8")
    seed_all_rng(cfg.SEED)
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume)
    trainer.train()
    return trainer


def _can_go_on(folder: Path, trial: Trial, settings: Mapping[str, Any]) -> bool:
    """Whether a checkpoint of this trial is in a folder; a damaged one does not count."""
    path = folder / BEGUN
    if not path.is_file():
        return False
    try:
        kept = read_json(path, dict[str, Any], "delete it")
        ours = kept["trial"] == trial.name and not changed_settings(kept["settings"], settings)
        return ours and latest_checkpoint(folder) is not None
    except (ConfigError, DamagedFileError) as error:
        logger.warning("%s is trained from the start: %s", folder, error)
        return False
