"""What shows a study's results: summary.md, cells.csv, pictures, and a row of HPARAMS per cell."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from pathlib import Path

from torch.utils.tensorboard.summary import hparams, scalar
from torch.utils.tensorboard.writer import FileWriter

from auto_seg_loss.study.figures import Columns, write_figures
from auto_seg_loss.study.inspection import measures
from auto_seg_loss.study.matrix import Cell, Study
from auto_seg_loss.study.record import Result
from auto_seg_loss.study.results import Summary, Table, correlations, summaries, table_of
from auto_seg_loss.study.settings import TENSORBOARD
from auto_seg_loss.study.statistics import in_words, markdown, mean_and_spread, note_if_equal
from autoseg_core.files import replacing

_NOTE = """\
Mean ± sample standard deviation over seeds, in percent. Differences are paired by seed, with \
Student's 95 % interval of their mean. "better" and "worse" hold for all differences of a column \
together, by Holm's method; there is no verdict where fewer than two seeds are in common. Runs \
that failed are in no number. Measures of borders (auto_seg_loss/study/borders.py) are ratios, 1 \
for the truth."""


def write_reports(study: Study, results: Sequence[tuple[Cell, Result]]) -> str:
    """Write them below OUTPUT_DIR; returns what is printed: the table of scores, and a line on the
    target for each loss but the first."""
    table = table_of(study, results)
    target, *others = measures(study.settings[0].config)
    columns = {name: summaries(table, name) for name in (target, *others)}
    ranks = correlations(columns[target], target)
    _write_csv(study.output / "cells.csv", table)
    _write_events(study, table, list(columns))
    scores = score_table(study, columns) + note_if_equal([row[target] for row in table])
    parts = [scores, _NOTE, difference_table(study, columns), *ranks]
    if failures := [f"- {cell}: {r['failed']}" for cell, r in results if "failed" in r]:
        parts.append("\n".join(["Failed (trials.jsonl holds why; --retry-failed):", *failures]))
    parts += write_figures(study, columns)
    with replacing(study.output / "summary.md") as partial:
        partial.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    first, *_ = study.losses
    lines = [_line(one, first, target) for one in columns[target] if one.loss != first]
    return "\n".join([scores, *lines, *ranks])


def score_table(study: Study, columns: Columns) -> str:
    """Markdown: one row per loss, the target first: mean ± sample deviation over seeds, in percent.

    A run that diverged makes its row NaN.
    """
    body = []
    for row in zip(*columns.values(), strict=True):
        spreads = [mean_and_spread([*one.values.values()]) for one in row]
        body.append([*row[0].setting, row[0].loss, len(row[0].values), *spreads])
    return markdown(body, [*_axes(study), "loss", "seeds", *columns])


def difference_table(study: Study, columns: Columns) -> str:
    """Markdown: each loss less the first of its setting, with interval and verdict."""
    first, body = next(iter(study.losses)), []
    for row in zip(*columns.values(), strict=True):
        if row[0].loss != first:
            gains = [f"{one.difference.numbers} {one.verdict}" for one in row]
            body.append([*row[0].setting, row[0].loss, first, *gains])
    return markdown(body, [*_axes(study), "loss", "minus", *columns])


def _line(one: Summary, first: str, score: str) -> str:
    where = ", ".join(one.setting) + ": " * bool(one.setting)
    return f"{where}{one.loss} - {first}: {score} {in_words(one.difference, one.verdict)}"


def _write_csv(path: Path, table: Table) -> None:
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(table[0]))
        writer.writeheader()
        writer.writerows(table)


def _write_events(study: Study, table: Table, names: Sequence[str]) -> None:
    """Apart from the events of the trainings: each scalar of a run is a column of HPARAMS."""
    folder = study.output / TENSORBOARD
    shutil.rmtree(folder, ignore_errors=True)
    for cell, row in zip(study.cells, table, strict=True):
        solver = cell.config.SOLVER
        keys = {key: row[key] for key in ("dataset", "network", "loss", "seed")}
        keys |= {"lr": solver.BASE_LR, "iterations": solver.MAX_ITER}
        scores = {f"scores/{name}": row[name] for name in names}
        run = Path(cell.config.OUTPUT_DIR).relative_to(study.output)
        writer = FileWriter(str(folder / run))
        _, *rows = hparams(keys, scores)  # without that of the experiment: see rl/tensorboard.py
        for summary in (*rows, *(scalar(*score) for score in scores.items())):
            writer.add_summary(summary, solver.MAX_ITER)
        writer.close()


def _axes(study: Study) -> list[str]:
    node = study.config.STUDY
    return ["dataset"] * bool(node.DATASETS) + ["network"] * bool(node.NETWORKS)
