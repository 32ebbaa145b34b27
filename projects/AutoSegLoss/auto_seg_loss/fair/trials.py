"""Trainings of losses on one data set: each is a line of a record, and none is made twice."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from tqdm import tqdm

from auto_seg_loss.config import plain, register_names
from auto_seg_loss.evaluation import metrics_of
from auto_seg_loss.losses import SEM_SEG_LOSS_REGISTRY
from auto_seg_loss.proxy import build_network
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.runtime.quiet import quiet
from auto_seg_loss.training import score, train
from autoseg_core import Objective
from rl.settings_diff import differences

Scores = dict[str, dict[str, float]]
"""data set -> metric -> score in [0, 1]; empty for a training that diverged."""


@dataclass(frozen=True)
class Trial:
    """A training: loss, a name of the registry or of ``load_spec``; learning rate; length; seed.

    digest: of the file that describes the loss, where there is one.
    """

    loss: str
    rate: float
    iterations: int
    seed: int
    digest: str = ""


class Book:
    """Results of trials: a file of JSON lines, of which the first holds the settings of all.

    A line that a crash has cut off is made again. ``ConfigError`` for a file of other settings.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        lines = _lines(path)
        if not lines:
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = [json.dumps({"settings": settings})]
            path.write_text(lines[0] + "\n", encoding="utf-8")
        if changed := differences(json.loads(lines[0]).get("settings", {}), settings):
            raise ConfigError(
                f"{path} holds trainings with other settings ({'; '.join(changed[:5])}): give "
                "another OUTPUT_DIR."
            )
        self.records = dict(map(_parse, lines[1:]))

    def add(self, trial: Trial, scores: Scores) -> None:
        """Keep a result, in memory and at the end of the file."""
        self.records[trial] = scores
        line = json.dumps({**asdict(trial), "scores": scores})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def run_trials(
    cfg: CfgNode,
    trials: Iterable[Trial],
    score_on: Sequence[str],
    book: Book,
    *,
    workers: int = 1,
    label: str = "trials",
) -> None:
    """Make the trials that the book does not hold; a bar on a terminal.

    cfg: of the data, the network and the solver; what a trial states takes its place. score_on:
    names of data sets. workers: 1 is this process, with its threads; more are processes of one
    thread each. With equal threads equal trials give equal scores, whichever process makes them.
    """
    new = [trial for trial in dict.fromkeys(trials) if trial not in book.records]
    made = _in_processes(cfg, new, score_on, workers) if workers > 1 else _here(cfg, new, score_on)
    for trial, scores in tqdm(made, label, len(new), disable=None, dynamic_ncols=True):
        book.add(trial, scores)


def _here(
    cfg: CfgNode, trials: Iterable[Trial], score_on: Sequence[str]
) -> Iterator[tuple[Trial, Scores]]:
    for trial in trials:
        yield trial, run_trial(cfg, trial, score_on)


def _in_processes(
    cfg: CfgNode, trials: Iterable[Trial], score_on: Sequence[str], workers: int
) -> Iterator[tuple[Trial, Scores]]:
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(workers, context, _begin_worker, (cfg,)) as pool:
        jobs = {pool.submit(run_trial, cfg, trial, score_on): trial for trial in trials}
        try:
            for job in as_completed(jobs):
                yield jobs[job], job.result()
        finally:  # the first failure, or Ctrl-C, ends it; what is under way is waited for
            pool.shutdown(cancel_futures=True)


def run_trial(cfg: CfgNode, trial: Trial, score_on: Sequence[str]) -> Scores:
    """Train a network from its start weights and score it exactly; see ``Trial``."""
    own = trial_config(cfg, trial)
    records = [record for name in own.DATASETS.TRAIN for record in DatasetCatalog.get(name)]
    with quiet():
        network = build_network(own)
        try:
            train(own, network, records, trial.seed)
        except FloatingPointError:
            return {}
        return {
            name: score(own, network, DatasetCatalog.get(name), name, reported(own))
            for name in score_on
        }


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


def trial_config(cfg: CfgNode, trial: Trial) -> CfgNode:
    """The config of a trial's training."""
    own = cfg.clone()
    own.defrost()
    own.SEED = trial.seed
    own.SOLVER.BASE_LR = trial.rate
    own.SOLVER.MAX_ITER = trial.iterations
    head = own.MODEL.SEM_SEG_HEAD
    named = trial.loss in SEM_SEG_LOSS_REGISTRY
    head.LOSS_TYPE, head.LOSS_SPEC = (trial.loss, "") if named else ("auto_seg_loss", trial.loss)
    own.freeze()
    return own


def _begin_worker(cfg: CfgNode) -> None:
    torch.set_num_threads(1)
    register_names(cfg)


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    return whole.splitlines()


def _parse(line: str) -> tuple[Trial, Scores]:
    values: dict[str, Any] = json.loads(line)
    scores = values.pop("scores")
    return Trial(**values), scores
