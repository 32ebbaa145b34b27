"""One cell: trained, scored, looked at, and written into its directory.

results.json holds the scores, and the seconds they took, and marks a finished cell; failed.json
holds why one failed, and inspection.json what its checkpoint shows beside the scores
(inspection.py). Each is written whole or not at all, so a cell that was cut off is trained again
from its start, and ends the same.
"""

from __future__ import annotations

import json
import logging
import time
import traceback
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.utils.env import seed_all_rng

from auto_seg_loss.data import DATA_ERRORS
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.runtime.resume import begin_training
from auto_seg_loss.study.finished import (
    CHECKPOINT,
    CONFIG,
    FAILED,
    INSPECTION,
    RESULTS,
    inputs_of,
    is_finished,
)
from auto_seg_loss.study.inspection import inspect
from auto_seg_loss.study.matrix import Cell, score_names
from auto_seg_loss.trainer import Trainer
from autoseg_core.files import replacing
from rl.executors.attempts import is_data_error
from rl.locks import FileLock, LockedError

logger = logging.getLogger(__name__)

_PATIENCE = 30.0
"""Seconds in which a worker that was killed with its driver must be gone."""


def complete(cell: Cell) -> str:
    """Train and score the cell as far as it is not; returns why it failed, "" when it did not.

    Any exception of the training is a failure of this cell alone, and kept with its traceback,
    unless it tells of a file, which ends the study.
    """
    cell.directory.mkdir(parents=True, exist_ok=True)
    try:
        lock = _wait_for_lock(cell)
    except ConfigError as error:
        return keep_failure(cell, error)
    try:
        (cell.directory / FAILED).unlink(missing_ok=True)
        if not (cell.directory / RESULTS).is_file():
            _train(cell)
        if not is_finished(cell):
            shown = inspect(on_own_device(cell.config), cell.directory / CHECKPOINT)
            _write(cell.directory / INSPECTION, shown)
    except Exception as error:
        if is_data_error(error, DATA_ERRORS):
            raise
        return keep_failure(cell, error)
    finally:
        lock.release()
    return ""


def keep_failure(cell: Cell, error: Exception) -> str:
    """Write failed.json; returns the reason in it."""
    first = (str(error).strip().splitlines() or [""])[0]
    reason = f"{type(error).__name__}: {first}"
    trace = "".join(traceback.format_exception(error))
    _write(cell.directory / FAILED, {"reason": reason, "trace": trace})
    return reason


def _wait_for_lock(cell: Cell) -> FileLock:
    """The workers of a study that was killed may train on for a moment."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return FileLock(cell.directory / "cell.lock")
        except LockedError:
            if time.monotonic() > end:
                raise ConfigError(f"another process trains {cell.directory}; stop it") from None
            time.sleep(0.1)


def _train(cell: Cell) -> None:
    _remove_traces(cell.directory)
    begin_training(cell.config, resume=False)
    # As train_net.py leaves it, to train or to score the cell by itself; run.json is the record.
    (cell.directory / CONFIG).write_text(cell.config.dump(), encoding="utf-8")
    begin, inputs = time.monotonic(), inputs_of(cell.config)
    scores = train_and_test(on_own_device(cell.config))
    seconds = round(time.monotonic() - begin, 3)
    result = {"scores": scores, "inputs": inputs, "seconds": seconds}
    _write(cell.directory / RESULTS, result)


def _remove_traces(directory: Path) -> None:
    """Of a training that was cut off: Detectron2 appends to some of these."""
    for name in (CHECKPOINT, "metrics.json", INSPECTION):
        (directory / name).unlink(missing_ok=True)
    for events in directory.glob("events.out.tfevents.*"):
        events.unlink()


def train_and_test(cfg: CfgNode) -> dict[str, float | None]:
    """The scores in percent; None for those of a training that diverged."""
    seed_all_rng(cfg.SEED)
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=False)
    try:
        scores = trainer.train()["sem_seg"]
    except FloatingPointError as error:  # an outcome of this loss, not of the study
        logger.warning("%s: %s", cfg.OUTPUT_DIR, str(error).partition("\n")[0])
        return dict.fromkeys(score_names(cfg))
    return {name: scores[name] for name in score_names(cfg)}


def on_own_device(cfg: CfgNode) -> CfgNode:
    """A worker sees only the GPUs that it was given, numbered from 0."""
    device = torch.device(cfg.MODEL.DEVICE)
    if device.type != "cuda" or (device.index or 0) < torch.cuda.device_count():
        return cfg
    own = cfg.clone()
    own.defrost()
    own.MODEL.DEVICE = device.type
    own.freeze()
    return own


def _write(path: Path, content: dict[str, Any]) -> None:
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=1), encoding="utf-8")
