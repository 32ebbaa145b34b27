"""A comparison of losses: equal starts, equal iterations, equal seeds, one table.

Each cell, a loss with a seed, is an ordinary training of ``train_net.py`` in its own directory; its
result is written when it is complete, so finished cells are skipped the next time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from pathlib import Path

import numpy as np
from detectron2.config import CfgNode
from detectron2.utils.env import seed_all_rng
from tabulate import tabulate

from auto_seg_loss.losses import build_loss, loss_names
from auto_seg_loss.preflight import (
    ConfigError,
    begin_training,
    check_resume,
    local_weights,
    loss_text,
)
from auto_seg_loss.quiet import quiet_console
from auto_seg_loss.trainer import Trainer
from autoseg_core import SIX, load_spec
from autoseg_core.scores import get_metric

logger = logging.getLogger(__name__)

# What may change between two calls without touching a finished cell's scores.
FREE_KEYS = (
    "DATALOADER.NUM_WORKERS",
    "OUTPUT_DIR",
    "SEARCH",
    "STUDY",
    "TEST.METRICS",
    "VIS_PERIOD",
)

Scores = dict[str, float]


def check_study(cfg: CfgNode) -> None:
    """Refuse unknown losses, an unknown target and unfit seeds before any time is spent."""
    if get_metric(cfg.STUDY.TARGET).name not in score_names(cfg):
        raise ConfigError(
            f"STUDY.TARGET {cfg.STUDY.TARGET!r} is not scored; add it to TEST.METRICS. Scored are "
            f"{', '.join(score_names(cfg))}."
        )
    for loss in cfg.STUDY.LOSSES:
        try:
            build_loss(cell_config(cfg, loss, seed=0))
        except ValueError as error:
            raise ConfigError(
                f"STUDY.LOSSES: {error} Names of the registry: {', '.join(loss_names())}."
            ) from None
    labels = [loss_label(loss) for loss in cfg.STUDY.LOSSES]
    if len(set(labels)) != len(labels) or not labels:
        raise ConfigError(
            f"STUDY.LOSSES must name different losses, got {labels}; the name of a found "
            "loss is SEARCH.NAME, or `name` in its file."
        )
    if not cfg.STUDY.SEEDS:
        raise ConfigError("STUDY.SEEDS is empty; give at least one seed.")
    if not all(isinstance(seed, int) and seed >= 0 for seed in cfg.STUDY.SEEDS):
        raise ConfigError(f"STUDY.SEEDS must be whole numbers >= 0, got {list(cfg.STUDY.SEEDS)}.")
    if len(set(cfg.STUDY.SEEDS)) != len(cfg.STUDY.SEEDS):
        raise ConfigError(f"STUDY.SEEDS must differ, got {list(cfg.STUDY.SEEDS)}.")
    if len(cfg.DATASETS.TEST) != 1:
        raise ConfigError(f"A study scores one data set, DATASETS.TEST names {cfg.DATASETS.TEST}.")


def run_study(cfg: CfgNode) -> str:
    """Train and score every cell that is not done; returns and writes the table (summary.md)."""
    results: dict[str, list[Scores]] = {}
    target = get_metric(cfg.STUDY.TARGET).name
    cells = [(loss, seed) for seed in cfg.STUDY.SEEDS for loss in cfg.STUDY.LOSSES]
    for number, (loss, seed) in enumerate(cells, start=1):
        label, scores = loss_label(loss), _cell(cfg, loss, seed)
        results.setdefault(label, []).append(scores)
        shown = f"{target} {scores[target]:.2f}"
        logger.info("%d/%d  %s, seed %d: %s", number, len(cells), label, seed, shown)
    text = summary(results, target)
    (Path(cfg.OUTPUT_DIR) / "summary.md").write_text(text + "\n")
    return text


def score_names(cfg: CfgNode) -> tuple[str, ...]:
    """The six scores, and those of TEST.METRICS."""
    return tuple(dict.fromkeys((*SIX, *(get_metric(name).name for name in cfg.TEST.METRICS))))


def cell_config(cfg: CfgNode, loss: str, seed: int) -> CfgNode:
    """The config of one cell, as ``train_net.py`` would take it."""
    cell = cfg.clone()
    cell.defrost()
    known = loss in loss_names()
    cell.MODEL.SEM_SEG_HEAD.LOSS_TYPE = loss if known else "auto_seg_loss"
    cell.MODEL.SEM_SEG_HEAD.LOSS_SPEC = "" if known else loss
    cell.SEED = seed
    cell.OUTPUT_DIR = str(Path(cfg.OUTPUT_DIR) / loss_label(loss) / f"seed{seed}")
    cell.freeze()
    return cell


def loss_label(loss: str) -> str:
    """Name of a loss in tables and directories: registry name, or the spec's own name."""
    return loss if loss in loss_names() else load_spec(loss).name


def summary(results: dict[str, list[Scores]], target: str) -> str:
    """Markdown table, a row a loss, the target first: mean ± sample deviation over seeds, in %.

    A run that diverged makes its row NaN.
    """
    names = next(iter(results.values()))[0]
    columns = [target, *(name for name in names if name != target)]
    rows = []
    for label, runs in results.items():
        cells = [mean_and_spread([run[name] for run in runs]) for name in columns]
        rows.append([label, len(runs), *cells])
    return tabulate(rows, headers=["loss", "seeds", *columns], tablefmt="github")


def mean_and_spread(values: list[float]) -> str:
    """``mean ± sample standard deviation``; the mean alone for a single value."""
    mean = f"{np.mean(values):.2f}"
    return mean if len(values) < 2 else f"{mean} ± {np.std(values, ddof=1):.2f}"


def _cell(cfg: CfgNode, loss: str, seed: int) -> Scores:
    cell = cell_config(cfg, loss, seed)
    output = Path(cell.OUTPUT_DIR)
    done = output / "results.json"
    check_resume(cell, FREE_KEYS)
    inputs = {"loss": loss_text(cell), "weights": _digest(cell.MODEL.WEIGHTS)}
    if not done.is_file():
        begin_training(cell, resume=False)
        with quiet_console():
            scores = _train_and_test(cell)
        partial = done.with_suffix(".partial")
        partial.write_text(json.dumps({"scores": scores, "inputs": inputs}, indent=1))
        partial.replace(done)
    result = json.loads(done.read_text())
    if result["inputs"] != inputs:
        raise ConfigError(
            f"{output} was trained with another loss file or other weights of the same name; "
            "delete it to train it again, or choose another OUTPUT_DIR."
        )
    missing = [name for name in score_names(cfg) if name not in result["scores"]]
    if missing:
        raise ConfigError(
            f"{output} was trained without the scores of {', '.join(missing)}; delete it to train "
            "it again, or take them out of TEST.METRICS."
        )
    scored = {name: result["scores"][name] for name in score_names(cfg)}
    return {name: math.nan if v is None else v for name, v in scored.items()}


def _digest(path: str) -> str | None:
    """sha256 of the file the training starts from; None when it starts from scratch."""
    return hashlib.sha256(local_weights(path).read_bytes()).hexdigest() if path else None


def _train_and_test(cfg: CfgNode) -> dict[str, float | None]:
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
