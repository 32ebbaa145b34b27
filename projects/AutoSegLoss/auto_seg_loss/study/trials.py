"""Trainings of losses on one data set: each is a line of a record, and none is made twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog

from auto_seg_loss.config import plain
from auto_seg_loss.data.splits import files_digest
from auto_seg_loss.evaluation import metrics_of
from auto_seg_loss.losses import SEM_SEG_LOSS_REGISTRY
from auto_seg_loss.proxy import starting_network
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.runtime.quiet import quiet
from auto_seg_loss.study.inspection import save_predictions
from auto_seg_loss.study.pool import map_jobs
from auto_seg_loss.training import score, train
from auto_seg_loss.weight_files import local_weights
from autoseg_core import Objective
from autoseg_core.files import DamagedFileError, parse_json, replacing
from rl.settings_diff import differences

RECORD = "trials.jsonl"
"""A record's file, in OUTPUT_DIR."""

Result = dict[str, Any]
"""What a trial gave. "scores": data set -> name -> value, metrics in [0, 1]; {} for a training
that diverged. A study's cell that failed has "failed", the reason, in its place."""


@dataclass(frozen=True)
class Trial:
    """A training: loss, a name of the registry or of ``load_spec``; learning rate; length; seed.

    digest: of the files that the training depends on, such as the spec of the loss.
    """

    loss: str
    rate: float
    iterations: int
    seed: int
    digest: str = ""

    @property
    def name(self) -> str:
        """Of a file or a folder."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


class Record:
    """Results of trials: a file of JSON lines, of which the first holds the settings of all.

    Of two lines of one trial the last counts. A line that a crash has cut off is made again.
    ``ConfigError`` for a file of something else, or of other settings, unless it holds no scores;
    ``DamagedFileError`` for a line that is none of this file.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path, self.settings = path, settings
        kept, self.results = _read(path)
        changed = changed_settings(kept, settings)
        scored = any("scores" in result for result in self.results.values())
        if changed and scored:
            raise ConfigError(
                f"{path} holds trainings with other settings ({'; '.join(changed[:5])}): give "
                "another OUTPUT_DIR."
            )
        if changed or not kept:
            self.results = {}
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as partial:
                partial.write_text(json.dumps({"settings": settings}) + "\n", encoding="utf-8")

    def add(self, trial: Trial, result: Result) -> None:
        """Keep a result, in memory and at the end of the file."""
        self.results[trial] = result
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**asdict(trial), **result}) + "\n")


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
    cfg: CfgNode, trial: Trial, score_on: Sequence[str], shown: Path | None = None
) -> Result:
    """Train a network from its start weights and score it exactly; see ``Trial``.

    cfg: of the data, the network and the solver; what the trial states takes its place. score_on:
    names of data sets. shown: where to keep predictions, see ``save_predictions``.
    """
    own = trial_config(cfg, trial)
    records = [record for name in own.DATASETS.TRAIN for record in DatasetCatalog.get(name)]
    with quiet():
        network = starting_network(own)
        try:
            train(own, network, records, trial.seed)
        except FloatingPointError:
            return {"scores": {}}
        if shown is not None:
            save_predictions(own, network, shown)
        return {
            "scores": {
                name: score(own, network, DatasetCatalog.get(name), name, reported(own))
                for name in score_on
            }
        }


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


def changed_settings(kept: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """What differs; a key that only one has is of another version of this program."""
    return [one for one in differences(kept, settings) if "(absent)" not in one]


def _read(path: Path) -> tuple[dict[str, Any], dict[Trial, Result]]:
    """Settings and results of a record, {} without one; the file loses a line that was cut off."""
    *lines, rest = path.read_bytes().split(b"\n") if path.is_file() else [b""]
    try:
        head, *found = [parse_json(line, dict[str, Any]) for line in lines] or [{"settings": {}}]
        results = dict(map(_parse, found))
    except (TypeError, ValueError) as error:
        raise DamagedFileError(f"{path} is damaged ({error}); mend or delete it.") from None
    if "settings" not in head:
        raise ConfigError(f"{path} does not begin with settings: give another OUTPUT_DIR.")
    if rest:
        with replacing(path) as partial:
            partial.write_bytes(b"".join(line + b"\n" for line in lines))
    return head["settings"], results


def _parse(values: dict[str, Any]) -> tuple[Trial, Result]:
    names = Trial.__dataclass_fields__
    trial = Trial(**{key: value for key, value in values.items() if key in names})
    return trial, {key: value for key, value in values.items() if key not in names}
