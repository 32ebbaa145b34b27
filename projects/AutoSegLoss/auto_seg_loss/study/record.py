"""The record of trainings: each is a line of a file, and none is repeated while everything that its
result depends on is unchanged."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode

from auto_seg_loss.data.catalog import Pairs
from auto_seg_loss.data.splits import files_digest
from auto_seg_loss.evaluation import metrics_of
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.search_setup import LOSS_KEYS, reward_objective, without
from auto_seg_loss.weights import weights_digest
from autoseg_core.files import DamagedFileError, file_digest, parse_json, write_whole
from rl.settings_diff import differences

RECORD = "trials.jsonl"
"""A record's file, in OUTPUT_DIR."""

Result = dict[str, Any]
"""The result of a trial. "scores": data set -> name -> value, metrics in [0, 1]; {} for a training
that diverged. "failed": why a study's cell failed; scores next to it are older. "curve", if
requested: pairs of an iteration and the scores on the hold-out after it, without the
last."""


@dataclass(frozen=True)
class Trial:
    """A training: loss, a name in the registry or for ``load_spec``; learning rate; length; seed.

    digest: of the files that the training depends on, such as the spec of the loss.
    """

    loss: str
    rate: float
    iterations: int
    seed: int
    digest: str = ""

    @property
    def name(self) -> str:
        """Digest of a file or a folder."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


class Record:
    """Results of trials: a file of JSON lines; the first holds the common settings.

    If a trial has several lines, the last one counts. A line truncated by a crash is redone.
    ``ConfigError`` for a file with other settings, unless it holds no scores; ``DamagedFileError``
    for a foreign line.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path, self.settings = path, settings
        kept, self.results = _read(path)
        changed = changed_settings(kept, settings)
        if changed and any("scores" in result for result in self.results.values()):
            raise ConfigError(
                f"{path} holds trainings with other settings ({'; '.join(changed[:5])}): set "
                "another OUTPUT_DIR."
            )
        if changed or not kept:
            self.results = {}
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps({"settings": settings}) + "\n")

    def add(self, trial: Trial, result: Result) -> Result:
        """Store a result, in memory and at the end of the file; returns the stored result.

        A failure keeps earlier scores.
        """
        if "failed" in result:
            result = {**self.results.get(trial, {}), **result}
        self.results[trial] = result
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**asdict(trial), **result}) + "\n")
        return result


def kept_metrics(path: Path) -> list[str]:
    """TEST.METRICS of a record's trials; [] without a record."""
    found: list[str] = _read(path)[0].get("TEST", {}).get("METRICS", [])
    return found


def changed_settings(kept: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """The differences; a key in only one of them is from another version of this program."""
    return [one for one in differences(kept, settings) if "(absent)" not in one]


def _read(path: Path) -> tuple[dict[str, Any], dict[Trial, Result]]:
    """Settings and results of a record, {} without one; removes a truncated line from the file."""
    *lines, rest = path.read_bytes().split(b"\n") if path.is_file() else [b""]
    try:
        head, *found = [parse_json(line, dict[str, Any]) for line in lines] or [{"settings": {}}]
        settings, results = head["settings"], dict(map(_parse, found))
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedFileError(f"{path} is damaged ({error}); repair or delete it.") from None
    if rest:
        os.truncate(path, path.stat().st_size - len(rest))
    return settings, results


def _parse(values: dict[str, Any]) -> tuple[Trial, Result]:
    names = Trial.__dataclass_fields__
    trial = Trial(**{key: value for key, value in values.items() if key in names})
    return trial, {key: value for key, value in values.items() if key not in names}


def pinned_settings(cfg: CfgNode, *free: str) -> dict[str, Any]:
    """Everything that a trial's result depends on, apart from the trial's own fields; plain JSON.

    free: additional keys that it does not depend on.
    """
    solver, head = ("SOLVER.BASE_LR", "SOLVER.MAX_ITER"), "MODEL.SEM_SEG_HEAD."
    stated = (*solver, "SEED", head + "LOSS_TYPE", head + "LOSS_SPEC")
    config = without(cfg, "OUTPUT_DIR", "STUDY", "VIS_PERIOD", *stated, *free)
    config["SEARCH"] = {"TOLERANCE": cfg.SEARCH.TOLERANCE, "scores": list(reported(cfg))}
    return config


def comparison_settings(cfg: CfgNode, records: Pairs, seeds: Iterable[int]) -> dict[str, Any]:
    """Everything that the trainings of a comparison depend on: the config, the files that it names,
    including the start weights of each seed, and the settings of unsearched surrogates.

    records: those of the data sets for training, hold-out and test, in this order.
    """
    start, scaling = cfg.MODEL.WEIGHTS, ("SCALE_ITERS", "SCALE_LR")
    unsearched = {key: cfg.SEARCH[key] for key in (*LOSS_KEYS, *scaling)}
    if cfg.SEARCH.SCALE_ITERS:
        unsearched |= {"BASE_LR": cfg.SOLVER.BASE_LR, "SEED": cfg.SEED}
    return {
        **pinned_settings(cfg),
        "unsearched": unsearched,
        "images": files_digest(records),
        "labels": labels_digest(records),
        "imports": {
            name: file_digest(Path(getattr(sys.modules[name], "__file__", None) or ""))
            for name in cfg.IMPORTS  # without what they import themselves
        },
        "weights": {str(n): weights_digest(start.replace("{seed}", str(n))) for n in seeds},
        "backbone": weights_digest(cfg.FEATURES.WEIGHTS, "FEATURES.WEIGHTS"),
    }


def reported(cfg: CfgNode) -> tuple[str, ...]:
    """Names of a trial's scores: those of tests, and those of SEARCH.METRIC."""
    return tuple(dict.fromkeys((*metrics_of(cfg), *reward_objective(cfg).metrics)))


def labels_digest(records: Iterable[Mapping[str, Any]]) -> str:
    """Digest of the content of the records' label files."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(Path(record["sem_seg_file_name"]).read_bytes())
    return digest.hexdigest()[:16]
