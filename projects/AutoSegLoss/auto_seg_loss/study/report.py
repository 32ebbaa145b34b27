"""The report of a study: one table of its cells, and statistics of each loss."""

from __future__ import annotations

import csv
import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.tensorboard.summary import hparams, scalar
from torch.utils.tensorboard.writer import FileWriter

from auto_seg_loss.study.figures import write_figures
from auto_seg_loss.study.inspection import BORDERS, measures
from auto_seg_loss.study.matrix import Cell, Study
from auto_seg_loss.study.record import Result
from auto_seg_loss.study.settings import TENSORBOARD
from auto_seg_loss.study.statistics import (
    Difference,
    judged,
    markdown,
    mean_and_spread,
    note_if_equal,
    paired_difference,
    rank_correlations,
)
from autoseg_core.files import replacing, write_whole

Table = list[dict[str, Any]]
"""A row for each cell: dataset, network, loss, seed, failed (the reason), reward (of a candidate in
its search, else NaN), and the measures: scores in percent, measures of borders as ratios; NaN if a
training diverged or failed, or if its setting does not measure it."""

_NOTE = """\
Mean ± sample standard deviation over seeds, in percent. Differences are paired by seed, with \
Student's 95 % interval of their mean. "better" and "worse" hold for all differences of a column \
together, by Holm's method; there is no verdict with fewer than two seeds in common. Runs \
that failed count with their earlier scores, if any. Measures of borders \
(auto_seg_loss/study/inspection.py) are ratios, 1 for the truth."""


@dataclass(frozen=True, eq=False)
class Summary:
    """One score of a loss in one setting, and its gain over the first loss there.

    setting: labels of data set and network. values: of the seeds that did not fail.
    """

    setting: tuple[str, ...]
    loss: str
    reward: float
    values: dict[int, float]
    gain: Difference

    @property
    def mean(self) -> float:
        """Mean over the seeds; NaN without any."""
        return float(np.mean([*self.values.values()])) if self.values else math.nan


def table_of(
    study: Study, results: Iterable[tuple[Cell, Result]], failures: Mapping[Cell, str]
) -> Table:
    """The results of cells as a table; failures: why cells are incomplete."""
    names = dict.fromkeys(name for one in study.settings for name in measures(one.config))
    rewards = {one.spec.name: one.reward for one in study.candidates}
    table = []
    for cell, result in results:
        row: dict[str, Any] = {"dataset": cell.setting.dataset, "network": cell.setting.network}
        row |= {"loss": cell.loss, "seed": cell.seed, "failed": failures.get(cell, "")}
        row["reward"] = rewards.get(cell.loss, math.nan)
        scores = result.get("scores", {}).get(cell.config.DATASETS.TEST[0], {})
        row |= {n: scores.get(n, math.nan) * (1 if n in BORDERS else 100) for n in names}
        table.append(row)
    return table


def summaries(table: Table, score: str) -> list[Summary]:
    """One for each loss of each setting, in the order of the table; verdicts hold together.

    Measures of borders get none, since a higher value is neither better nor worse.
    """
    first = table[0]["loss"]
    groups: dict[tuple[tuple[str, ...], str, float], dict[int, float]] = {}
    for row in table:
        setting = tuple(filter(None, (row["dataset"], row["network"])))
        values = groups.setdefault((setting, row["loss"], row["reward"]), {})
        if not (row["failed"] and math.isnan(row[score])):
            values[row["seed"]] = row[score]
    of = {setting: values for (setting, loss, _), values in groups.items() if loss == first}
    gains = {key: paired_difference(values, of[key[0]]) for key, values in groups.items()}
    if score not in BORDERS:
        gains |= judged({key: gain for key, gain in gains.items() if key[1] != first})
    return [Summary(*key, groups[key], gains[key]) for key in groups]


def correlations(targets: list[Summary], score: str) -> list[str]:
    """How well rewards predict mean scores: a sentence for each setting with candidates."""
    found = []
    for setting in dict.fromkeys(one.setting for one in targets):
        pairs = [(one.reward, one.mean) for one in targets if one.setting == setting]
        known = [pair for pair in pairs if np.isfinite(pair).all()]
        if len(known) > 2:
            found.append(
                f"{_prefix(setting)}rank correlation of proxy reward and {score} over {len(known)} "
                f"losses: {rank_correlations(*np.transpose(known))} (95 % bootstrap intervals)"
            )
    return found


def write_reports(
    study: Study, results: Sequence[tuple[Cell, Result]], failures: Mapping[Cell, str]
) -> str:
    """Write summary.md, cells.csv, pictures, and a row of HPARAMS per cell below OUTPUT_DIR.

    Returns the printed text: the table of scores, and a line on the target for each loss except the
    first.
    """
    table = table_of(study, results, failures)
    target, *others = measures(study.settings[0].config)
    columns = {name: summaries(table, name) for name in (target, *others)}
    means = {n: {(s.setting, s.loss): s.mean for s in own} for n, own in columns.items()}
    ranks = correlations(columns[target], target)
    _write_csv(study.output / "cells.csv", table)
    _write_events(study, table, list(columns))
    scores, differences = _tables(study, columns)
    scores += note_if_equal([row[target] for row in table])
    parts = [scores, _NOTE, differences, *ranks]
    if lines := [f"- {cell}: {reason}" for cell, reason in failures.items()]:
        parts.append("\n".join(["Failed (trials.jsonl holds why; --retry-failed):", *lines]))
    parts += write_figures(study, means)
    write_whole(study.output / "summary.md", "\n\n".join(parts) + "\n")
    first, *_ = study.losses
    told = [
        f"{_prefix(one.setting)}{one.loss} - {first}: {target} {one.gain.words}"
        for one in columns[target]
        if one.loss != first
    ]
    return "\n".join([scores, *told, *ranks])


def _tables(study: Study, columns: Mapping[str, Sequence[Summary]]) -> tuple[str, str]:
    """Markdown with one row per loss: mean ± sample deviation over seeds, in percent, the target
    first; and each loss minus the first of its setting. A run that diverged makes its row NaN."""
    node, (first, *_) = study.config.STUDY, study.losses
    axes = ["dataset"] * bool(node.DATASETS) + ["network"] * bool(node.NETWORKS)
    scores, differences = [], []
    for row in zip(*columns.values(), strict=True):
        setting, loss, seeds = row[0].setting, row[0].loss, len(row[0].values)
        spreads = [mean_and_spread(one.values.values()) for one in row]
        scores.append([*setting, loss, seeds, *spreads])
        gains = [f"{one.gain.numbers} {one.gain.verdict}" for one in row]
        differences += [[*setting, loss, first, *gains]] if loss != first else []
    return (
        markdown(scores, [*axes, "loss", "seeds", *columns]),
        markdown(differences, [*axes, "loss", "minus", *columns]),
    )


def _prefix(setting: Sequence[str]) -> str:
    return ", ".join(setting) + ": " * bool(setting)


def _write_csv(path: Path, table: Table) -> None:
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(table[0]))
        writer.writeheader()
        writer.writerows(table)


def _write_events(study: Study, table: Table, names: Sequence[str]) -> None:
    """Separate from the events of the trainings: each scalar of a run is a column of HPARAMS."""
    folder = study.output / TENSORBOARD
    shutil.rmtree(folder, ignore_errors=True)
    for cell, row in zip(study.cells, table, strict=True):
        solver = cell.config.SOLVER
        keys = {key: row[key] for key in ("dataset", "network", "loss", "seed")}
        keys |= {"lr": solver.BASE_LR, "iterations": solver.MAX_ITER}
        scores = {f"scores/{name}": row[name] for name in names}
        run = Path(cell.config.OUTPUT_DIR).relative_to(study.output)
        writer = FileWriter(str(folder / run))
        _, *rows = hparams(keys, scores)  # no experiment summary: see rl/tensorboard.py
        for summary in (*rows, *(scalar(*score) for score in scores.items())):
            writer.add_summary(summary, solver.MAX_ITER)
        writer.close()
