"""Trainings of losses on one data set, and what their results depend on."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.engine.hooks import CallbackHook

from auto_seg_loss.candidate_scale import reference_batches
from auto_seg_loss.data.splits import files_digest
from auto_seg_loss.evaluation import metrics_of
from auto_seg_loss.losses import loss_names
from auto_seg_loss.proxy import proxy_config, starting_network
from auto_seg_loss.runtime.log_levels import logs_off
from auto_seg_loss.runtime.random_states import undisturbed
from auto_seg_loss.search_setup import records_of, without
from auto_seg_loss.study.inspection import save_predictions
from auto_seg_loss.study.pool import map_jobs
from auto_seg_loss.study.record import Record, Result, Trial
from auto_seg_loss.training import scaled, score, train
from auto_seg_loss.weights import local_weights
from autoseg_core import Objective
from autoseg_core.surrogates.soft import soft_spec

SOFT = "soft:"
"""How the name of an unsearched surrogate begins, as soft:mIoU."""
SOFT_FILES = "soft-*.json"
"""Those that ``soft_file`` makes in OUTPUT_DIR."""


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
    own = cfg.clone()
    own.defrost()
    own.SEED = trial.seed
    own.SOLVER.BASE_LR = trial.rate
    own.SOLVER.MAX_ITER = trial.iterations
    own.MODEL.WEIGHTS = own.MODEL.WEIGHTS.replace("{seed}", str(trial.seed))
    head = own.MODEL.SEM_SEG_HEAD
    named = trial.loss in loss_names()
    head.LOSS_TYPE, head.LOSS_SPEC = (trial.loss, "") if named else ("auto_seg_loss", trial.loss)
    own.freeze()
    return own


def soft_file(cfg: CfgNode, metric: str) -> Path:
    """The unsearched surrogate of an objective as a spec in OUTPUT_DIR, scaled as candidates are.

    The twin of what a search of this config finds: identity curves, SEARCH.TOLERANCE.
    """
    name = re.sub(r"[^A-Za-z0-9.+-]+", "-", SOFT + metric)
    path = Path(cfg.OUTPUT_DIR) / f"{name}.json"
    if not path.is_file():
        spec = soft_spec(metric, tolerance=cfg.SEARCH.TOLERANCE)
        own = proxy_config(cfg)
        model, records = starting_network(own), records_of(own.DATASETS.TRAIN)
        reference = reference_batches(own, model, model.state_dict(), records)
        scaled(spec, reference, cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE).save(path)
    return path


def in_registry(loss: str) -> str:
    """The registry's spelling of a loss, however it is written; other names as they are."""
    return {name.lower(): name for name in loss_names()}.get(loss.strip().lower(), loss.strip())


def pinned_settings(cfg: CfgNode, *free: str) -> dict[str, Any]:
    """What the result of a trial depends on beside what the trial states; plain JSON.

    free: further keys that it does not depend on.
    """
    solver, head = ("SOLVER.BASE_LR", "SOLVER.MAX_ITER"), "MODEL.SEM_SEG_HEAD."
    stated = (*solver, "SEED", head + "LOSS_TYPE", head + "LOSS_SPEC")
    config = without(cfg, "OUTPUT_DIR", "STUDY", "VIS_PERIOD", *stated, *free)
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
    return files_digest(records_of(names))


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
