"""The study's run: every cell is trained in its folder, as by train_net.py --resume, and scored."""

from __future__ import annotations

import json
import logging
import math
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.utils.env import seed_all_rng

from auto_seg_loss.data import DATA_ERRORS
from auto_seg_loss.runtime.checkpoints import LAST
from auto_seg_loss.runtime.checks import check_device
from auto_seg_loss.runtime.log_levels import only_warnings
from auto_seg_loss.runtime.resume import begin_training
from auto_seg_loss.study.candidates import save_candidates
from auto_seg_loss.study.inspection import (
    measure,
    measures,
    prediction_file,
    save_predictions,
    shown_records,
)
from auto_seg_loss.study.matrix import Cell, Study, open_record
from auto_seg_loss.study.record import Result, Trial, changed_settings
from auto_seg_loss.study.report import write_reports
from auto_seg_loss.study.trials import Job, run_jobs
from auto_seg_loss.trainer import Trainer
from autoseg_core.files import read_json, replacing
from rl.executors.attempts import is_data_error, one_line

CONFIG, BEGUN = "config.yaml", "trained.json"
"""Beside the checkpoints of a cell: its config, for train_net.py, and of which trial they are."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What a study prints, and the cells that failed, with the reason."""

    text: str
    failures: tuple[str, ...]


def run_study(study: Study, retry_failed: bool = False) -> Outcome:
    """Train and score every cell that is not done, and write the reports below OUTPUT_DIR.

    A cell that fails is reported and the others go on; it is left alone until ``retry_failed``, or
    until its config is another. Call it inside ``runtime.resume.sole_run``.
    """
    save_candidates(Path(study.config.STUDY.JOURNAL), study.candidates, study.candidates_folder)
    records = {setting: open_record(setting) for setting in study.settings}
    jobs = {}
    for cell in study.cells:
        record = records[cell.setting]
        known = record.results.get(cell.trial, {})
        if not is_complete(cell, known) and ("failed" not in known or retry_failed):
            arguments = (cell.trial, record.settings, cell.predictions)
            jobs[Job(record, cell.trial, cell.config, arguments)] = cell
    if study.config.SEARCH.EXECUTOR.NAME == "serial":
        for job in jobs:
            check_device(job.cfg)
    for number, (job, result) in enumerate(run_jobs(complete, list(jobs)), start=1):
        logger.info("%d/%d  %s: %s", number, len(jobs), jobs[job], _told(job.cfg, result))
    results = [(cell, records[cell.setting].results[cell.trial]) for cell in study.cells]
    failures = [f"{cell}: {result['failed']}" for cell, result in results if "failed" in result]
    return Outcome(write_reports(study, results), tuple(failures))


def _told(cfg: CfgNode, result: Result) -> str:
    if "failed" in result:
        return f"failed: {result['failed']}"
    target, scores = measures(cfg)[0], result["scores"].get(cfg.DATASETS.TEST[0], {})
    return f"{target} {100 * scores.get(target, math.nan):.2f}"


def is_complete(cell: Cell, result: Result) -> bool:
    """Whether nothing is left to do for it; a training that diverged leaves nothing to look at."""
    if "scores" not in result or "failed" in result:
        return False
    cfg, scores = cell.config, result["scores"].get(cell.config.DATASETS.TEST[0])
    kept = all(prediction_file(cell.predictions, one).is_file() for one in shown_records(cfg))
    return not scores or (kept and scores.keys() >= set(measures(cfg)))


def complete(cfg: CfgNode, trial: Trial, settings: Mapping[str, Any], shown: Path) -> Result:
    """Train a cell, as far as that is not done yet, measure it and keep predictions in ``shown``.

    Any exception of the training is a failure of this cell alone, with its reason and traceback,
    unless it tells of a file, which ends the study.
    """
    try:
        with only_warnings():
            trainer = trained(cfg, trial, settings)
            save_predictions(cfg, trainer.model, shown)
            scores = {name: score / 100 for name, score in trainer.results["sem_seg"].items()}
            if not scores.keys() >= set(measures(cfg)):
                scores = measure(cfg, trainer.model)
            return {
                "scores": {cfg.DATASETS.TEST[0]: {name: scores[name] for name in measures(cfg)}}
            }
    except FloatingPointError as error:  # an outcome of this loss, not of the study
        logger.warning("%s: %s", cfg.OUTPUT_DIR, str(error).partition("\n")[0])
        return {"scores": {}}
    except Exception as error:
        if is_data_error(error, DATA_ERRORS):
            raise
        return {"failed": one_line(error), "trace": traceback.format_exc()}


def trained(cfg: CfgNode, trial: Trial, settings: Mapping[str, Any]) -> Trainer:
    """The training of a cell, done and scored.

    It goes on from the checkpoint in its folder, if that is of this trial.
    """
    folder = Path(cfg.OUTPUT_DIR)
    resume = any(folder.glob("*.pth")) and _is_of(folder / BEGUN, trial, settings)
    if not resume:
        for left in (folder / BEGUN, folder / LAST, *folder.glob("events.out.*")):
            left.unlink(missing_ok=True)
    begin_training(cfg, resume)
    with replacing(folder / BEGUN) as partial:
        text = json.dumps({"trial": trial.name, "settings": settings})
        partial.write_text(text, encoding="utf-8")
    (folder / CONFIG).write_text(cfg.dump(), encoding="utf-8")
    seed_all_rng(cfg.SEED)
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume)
    trainer.train()
    return trainer


def _is_of(path: Path, trial: Trial, settings: Mapping[str, Any]) -> bool:
    if not path.is_file():
        return False
    kept = read_json(path, dict[str, Any], "delete it: the cell is trained again.")
    return kept["trial"] == trial.name and not changed_settings(kept["settings"], settings)
