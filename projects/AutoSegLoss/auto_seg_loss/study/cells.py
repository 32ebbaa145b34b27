"""One cell: trained, scored, looked at, and kept in its directory.

results.json holds the scores and marks a finished cell; failed.json holds why one failed, and
inspection.json what its checkpoint shows beside the scores (inspection.py). Each is written whole
or not at all, so a cell that was cut off is trained again from its start, and ends the same.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.utils.env import seed_all_rng

from auto_seg_loss.preflight import (
    ConfigError,
    begin_training,
    check_resume,
    local_weights,
    loss_text,
)
from auto_seg_loss.study.inspection import inspect, missing_from
from auto_seg_loss.study.matrix import Cell, Study, score_names, tolerance_names
from auto_seg_loss.trainer import Trainer
from rl.locks import FileLock, LockedError

logger = logging.getLogger(__name__)

# What may change between two calls without touching a finished cell's scores. Of the loss it is
# the content that counts, not the name.
FREE_KEYS = (
    "DATALOADER.NUM_WORKERS",
    "INPUT.CACHE",
    "MODEL.SEM_SEG_HEAD.LOSS_SPEC",
    "OUTPUT_DIR",
    "SEARCH",
    "STUDY",
    "TEST.METRICS",
    "VIS_PERIOD",
)

RESULTS, FAILED, INSPECTION = "results.json", "failed.json", "inspection.json"
CHECKPOINT = "model_final.pth"

_PATIENCE = 30.0
"""Seconds in which a worker that was killed with its driver must be gone."""

Scores = dict[str, float]


@dataclass(frozen=True, eq=False)
class CellResult:
    """What a cell has given so far.

    scores: in percent by name, NaN after a training that diverged; {} unless finished. shown: what
    the inspection found, {} without one. reason: why it failed; "" otherwise.
    """

    cell: Cell
    scores: Scores = field(default_factory=dict)
    shown: dict[str, Any] = field(default_factory=dict)
    reason: str = ""


def check_finished(study: Study) -> None:
    """Refuse finished cells that the study's config would not have given; ``ConfigError``."""
    for cell in study.cells:
        check_resume(cell.config, FREE_KEYS)
        if (cell.directory / RESULTS).is_file():
            _check_result(cell, _read(cell.directory / RESULTS))


def is_finished(cell: Cell) -> bool:
    """Whether nothing is left to do for it."""
    if not (cell.directory / RESULTS).is_file():
        return False
    return not _can_be_inspected(cell) or not missing_from(_inspection(cell), cell.config)


def read_result(cell: Cell) -> CellResult:
    """What is on the disk; ``ConfigError`` when scores that are asked for are not."""
    failure, path = cell.directory / FAILED, cell.directory / RESULTS
    if failure.is_file():
        return CellResult(cell, reason=_read(failure)["reason"])
    if not path.is_file():
        return CellResult(cell, reason="not trained")
    shown = _inspection(cell)
    known = {**_read(path)["scores"], **shown.get("scores", {})}
    names = (*score_names(cell.config), *tolerance_names(cell.config.STUDY.TOLERANCES))
    scores = {name: known.get(name) for name in names}
    return CellResult(cell, {k: math.nan if v is None else v for k, v in scores.items()}, shown)


def complete(cell: Cell) -> str:
    """Train and score the cell as far as it is not; returns why it failed, "" when it did not.

    Any exception of the training is a failure of this cell alone, and kept with its traceback.
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
    for old in (CHECKPOINT, "metrics.json", INSPECTION):  # of a training that was cut off
        (cell.directory / old).unlink(missing_ok=True)
    for old in cell.directory.glob("events.out.tfevents.*"):
        old.unlink()
    begin_training(cell.config, resume=False)
    scores = train_and_test(on_own_device(cell.config))
    _write(cell.directory / RESULTS, {"scores": scores, "inputs": _inputs(cell.config)})


def train_and_test(cfg: CfgNode) -> dict[str, float | None]:
    """The scores in percent; None for those of a training that diverged."""
    seed_all_rng(cfg.SEED)
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=False)
    try:
        trainer.train()
    except FloatingPointError as error:  # an outcome of this loss, not of the study
        logger.warning("%s: %s", cfg.OUTPUT_DIR, str(error).splitlines()[0])
        return dict.fromkeys(score_names(cfg))
    scores = trainer._last_eval_results["sem_seg"]  # of the hook that evaluates after training
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


def _inputs(cfg: CfgNode) -> dict[str, str | None]:
    """What the training depends on beside the config: the content of the files it names."""
    weights = cfg.MODEL.WEIGHTS
    digest = hashlib.sha256(local_weights(weights).read_bytes()).hexdigest() if weights else None
    return {"loss": loss_text(cfg), "weights": digest}


def _check_result(cell: Cell, result: dict[str, Any]) -> None:
    if result["inputs"] != _inputs(cell.config):
        raise ConfigError(
            f"{cell.directory} was trained with another loss file or other weights of the same "
            "name; delete it to train it again, or choose another OUTPUT_DIR."
        )
    missing = [name for name in score_names(cell.config) if name not in result["scores"]]
    if missing:
        raise ConfigError(
            f"{cell.directory} was trained without the scores of {', '.join(missing)}; delete it "
            "to train it again, or take them out of TEST.METRICS."
        )
    inspected = not missing_from(_inspection(cell), cell.config)
    if cell.config.STUDY.TOLERANCES and not inspected and not _can_be_inspected(cell):
        raise ConfigError(
            f"{cell.directory} has no {CHECKPOINT} to measure STUDY.TOLERANCES with; delete it to "
            "train it again, or leave them out."
        )


def _can_be_inspected(cell: Cell) -> bool:
    """A training that diverged leaves no checkpoint; another may have been tidied away."""
    return (cell.directory / CHECKPOINT).is_file()


def _inspection(cell: Cell) -> dict[str, Any]:
    path = cell.directory / INSPECTION
    return _read(path) if path.is_file() else {}


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return content
    except ValueError as error:
        raise ConfigError(
            f"{path} is damaged ({error}); delete its folder to train that cell again."
        ) from None


def _write(path: Path, content: dict[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1), encoding="utf-8")
    partial.replace(path)
