"""Trainings of losses on one data set, and what their results depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.engine.hooks import CallbackHook

from auto_seg_loss.config import plain
from auto_seg_loss.data.splits import files_digest
from auto_seg_loss.evaluation import metrics_of
from auto_seg_loss.losses import SEM_SEG_LOSS_REGISTRY
from auto_seg_loss.proxy import starting_network
from auto_seg_loss.runtime.log_levels import logs_off
from auto_seg_loss.runtime.random_states import undisturbed
from auto_seg_loss.study.inspection import save_predictions
from auto_seg_loss.study.pool import map_jobs
from auto_seg_loss.study.record import Record, Result, Trial
from auto_seg_loss.training import score, train
from auto_seg_loss.weights import local_weights
from autoseg_core import Objective


@dataclass(frozen=True, eq=False)
class Job:
    """A trial to make: ``function(cfg, *arguments)`` gives its result, which the record keeps."""

    record: Record
    trial: Trial
    cfg: CfgNode
    arguments: tuple[Any, ...] = ()


def run_jobs(function: Any, jobs: Sequence[Job], workers: int = 1) -> Iterator[tuple[Job, Result]]:
    """Make the trials of jobs, and record each as it comes; see ``map_jobs``."""
    calls = [(job.cfg, *job.arguments) for job in jobs]
    for place, result in map_jobs(function, calls, workers):
        jobs[place].record.add(jobs[place].trial, result)
        yield jobs[place], result


def run_trial(
    cfg: CfgNode, trial: Trial, score_on: Sequence[str], shown: Path | None = None, every: int = 0
) -> Result:
    """Train a network from its start weights and score it exactly; see ``Trial``.

    cfg: of the data, the network and the solver; what the trial states takes its place. score_on:
    names of data sets. shown: where to keep predictions, see ``save_predictions``. every: with the
    curve on the first of the data sets, at every so many iterations; the training is the same.
    """
    own = trial_config(cfg, trial)
    records = [record for name in own.DATASETS.TRAIN for record in DatasetCatalog.get(name)]
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
    own = cfg.clone()
    own.defrost()
    own.SEED = trial.seed
    own.SOLVER.BASE_LR = trial.rate
    own.SOLVER.MAX_ITER = trial.iterations
    own.MODEL.WEIGHTS = own.MODEL.WEIGHTS.replace("{seed}", str(trial.seed))
    head = own.MODEL.SEM_SEG_HEAD
    named = trial.loss in SEM_SEG_LOSS_REGISTRY
    head.LOSS_TYPE, head.LOSS_SPEC = (trial.loss, "") if named else ("auto_seg_loss", trial.loss)
    own.freeze()
    return own


def pinned_settings(cfg: CfgNode) -> dict[str, Any]:
    """What the result of a trial depends on beside what the trial states; plain JSON."""
    config: dict[str, Any] = json.loads(json.dumps(plain(cfg)))
    for key in ("OUTPUT_DIR", "STUDY", "VIS_PERIOD", "SEED"):
        del config[key]
    for key in ("BASE_LR", "MAX_ITER"):
        del config["SOLVER"][key]
    for key in ("LOSS_TYPE", "LOSS_SPEC"):
        del config["MODEL"]["SEM_SEG_HEAD"][key]
    config["SEARCH"] = {"TOLERANCE": cfg.SEARCH.TOLERANCE, "scores": list(reported(cfg))}
    return config


def reported(cfg: CfgNode) -> tuple[str, ...]:
    """Names of the scores of a trial: those of a test, and those of SEARCH.METRIC."""
    return tuple(dict.fromkeys((*metrics_of(cfg), *Objective.parse(cfg.SEARCH.METRIC).metrics)))


def file_digest(path: Path) -> str:
    """Of the content of a file; "" where there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else ""


def images_digest(names: Iterable[str]) -> str:
    """Of the names and lengths of the files of data sets."""
    return files_digest([item for name in names for item in DatasetCatalog.get(name)])


def weights_digest(name: str, key: str = "MODEL.WEIGHTS") -> str:
    """Of the content of what ``local_weights`` finds; "" for no name."""
    if not name:
        return ""
    path = local_weights(name, key)
    return _digest_at(path, path.stat().st_mtime_ns)


@lru_cache
def _digest_at(path: Path, time: int) -> str:
    """Once for all trials that start from the file as it was at this time."""
    return file_digest(path)
