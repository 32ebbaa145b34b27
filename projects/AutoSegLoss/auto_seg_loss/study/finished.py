"""The cells that are finished: what is on the disk of them, and whether it may be used."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from pydantic import BaseModel
from typing_extensions import TypedDict

from auto_seg_loss.data.catalog import datasets_root
from auto_seg_loss.data.splits import files_digest
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.runtime.resume import UNTRAINED_KEYS, check_resume, loss_text, same_loss
from auto_seg_loss.study.inspection import missing_from
from auto_seg_loss.study.matrix import Cell, Study, score_names, tolerance_names
from auto_seg_loss.weight_files import local_weights
from autoseg_core.files import DamagedFileError, read_json

FREE_KEYS = (*UNTRAINED_KEYS, "TEST.METRICS", "TEST.SAMPLES")
"""What may change between two calls without touching a finished cell's scores."""

RESULTS, FAILED, INSPECTION = "results.json", "failed.json", "inspection.json"
CHECKPOINT, CONFIG = "model_final.pth", "config.yaml"

Scores = dict[str, float]
T = TypeVar("T")


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
    """Refuse finished cells that the study's config would not have given; ``ConfigError``.

    Others are trained from their start whatever they had begun with.
    """
    for cell in study.cells:
        if (cell.directory / RESULTS).is_file():
            check_resume(cell.config, FREE_KEYS)
            _check_result(cell, _read(cell.directory / RESULTS, _Result))


def failed_alike(cell: Cell) -> bool:
    """Whether a cell that has failed did so with the config that it has now, but for FREE_KEYS."""
    try:
        check_resume(cell.config, FREE_KEYS)
    except (ConfigError, DamagedFileError):
        return False
    return True


def is_finished(cell: Cell) -> bool:
    """Whether nothing is left to do for it."""
    if not (cell.directory / RESULTS).is_file():
        return False
    return not _can_be_inspected(cell) or not missing_from(_inspection(cell), cell.config)


def read_result(cell: Cell) -> CellResult:
    """What is on the disk; ``ConfigError`` when scores that are asked for are not."""
    failure, path = cell.directory / FAILED, cell.directory / RESULTS
    if failure.is_file():
        return CellResult(cell, reason=_read(failure, _Failure).reason)
    if not path.is_file():
        return CellResult(cell, reason="not trained")
    shown = _inspection(cell)
    known = {**_read(path, _Result).scores, **shown.get("scores", {})}
    names = (*score_names(cell.config), *tolerance_names(cell.config.STUDY.TOLERANCES))
    scores = {name: known.get(name) for name in names}
    return CellResult(cell, {k: math.nan if v is None else v for k, v in scores.items()}, shown)


def inputs_of(cfg: CfgNode) -> dict[str, str | None]:
    """What the training depends on beside the config: the content of the files it names.

    Of images and labels only names and lengths, which is quick.
    """
    digest = None
    if cfg.MODEL.WEIGHTS:
        path = local_weights(cfg.MODEL.WEIGHTS)
        digest = _weights_digest(path, path.stat().st_mtime_ns)
    data = data_digest((*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST), datasets_root())
    return {"loss": loss_text(cfg), "weights": digest, "data": data}


@lru_cache
def _weights_digest(path: Path, changed: int) -> str:
    """Once for all cells that start from the file as it is; changed: its time."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@lru_cache
def data_digest(names: tuple[str, ...], root: Path) -> str:
    """``files_digest`` of data sets below ``root``, once for all cells."""
    return files_digest([record for name in names for record in DatasetCatalog.get(name)])


def _check_result(cell: Cell, result: _Result) -> None:
    old, new = result.inputs, inputs_of(cell.config)
    if old["weights"] != new["weights"] or not same_loss(old["loss"], new["loss"]):
        raise ConfigError(
            f"{cell.directory} was trained with another loss file or other weights of the same "
            "name; delete it to train it again, or choose another OUTPUT_DIR."
        )
    if old.get("data", new["data"]) != new["data"]:
        raise ConfigError(
            f"{cell.directory} was trained or scored on other images or labels of the same names; "
            "let DETECTRON2_DATASETS name the old ones, or choose another OUTPUT_DIR."
        )
    missing = [name for name in score_names(cell.config) if name not in result.scores]
    if missing:
        raise ConfigError(
            f"{cell.directory} was trained without the scores of {', '.join(missing)}; delete it "
            "to train it again, or take them out of TEST.METRICS."
        )
    if _diverged(result) or _can_be_inspected(cell) or not cell.config.STUDY.TOLERANCES:
        return
    if missing_from(_inspection(cell), cell.config):
        raise ConfigError(
            f"{cell.directory} has no {CHECKPOINT} to measure STUDY.TOLERANCES with; delete it to "
            "train it again, or leave them out."
        )


def _diverged(result: _Result) -> bool:
    """Whether its training did: then there is nothing to measure, at any tolerance."""
    return all(score is None for score in result.scores.values())


def _can_be_inspected(cell: Cell) -> bool:
    """A training that diverged leaves no checkpoint; another may have been tidied away."""
    return (cell.directory / CHECKPOINT).is_file()


def _inspection(cell: Cell) -> dict[str, Any]:
    path = cell.directory / INSPECTION
    return dict(_read(path, _Inspection)) if path.is_file() else {}


class _Result(BaseModel):
    scores: dict[str, float | None]
    inputs: dict[str, str | None]


class _Inspection(TypedDict, total=False):
    images: list[str]
    tolerances: list[int]
    scores: dict[str, float | None]
    border_length: list[float | None]
    jaggedness: list[float | None]


class _Failure(BaseModel):
    reason: str


def _read(path: Path, kind: type[T]) -> T:
    return read_json(path, kind, "delete its folder to train that cell again.")
