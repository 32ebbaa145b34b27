"""A study's results as tables: what is printed, summary.md, summary.csv, cells.csv."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from auto_seg_loss.study.figures import write_figures
from auto_seg_loss.study.finished import CellResult
from auto_seg_loss.study.matrix import Study
from auto_seg_loss.study.results import (
    Row,
    columns_of,
    correlations,
    deviation,
    difference,
    mean,
    reference_of,
    rows_of,
    value_of,
    verdict_of,
)
from auto_seg_loss.study.settings import Setting
from auto_seg_loss.study.statistics import Correlation, mean_and_spread
from autoseg_core.files import replacing

_NOTE = """\
Mean ± sample standard deviation over seeds, in percent. Differences are paired by seed, with \
Student's 95 % interval of their mean; "better" and "worse" stand where the interval excludes 0, \
no verdict where fewer than two seeds are in common. Runs that failed are in no number. \
Each interval is 95 % by itself: among many, some exclude 0 by chance. Measures of borders \
(auto_seg_loss/study/borders.py) are ratios, 1 for the truth."""


def printed(study: Study, results: Sequence[CellResult]) -> str:
    """The table of scores, and under it a line on the target for each loss but the first."""
    rows = rows_of(study, results)
    lines = []
    for row in rows:
        first = reference_of(row, rows)
        if row is not first:
            found = difference(row, first, study.target)
            where = f"{row.setting.name}: " if row.setting.name else ""
            lines.append(f"{where}{row.loss} - {first.loss}: {study.target} {found}")
    lines += [_sentence(study, *one) for one in correlations(study, rows)]
    return "\n".join([score_table(study, rows), *lines])


def score_table(study: Study, rows: Sequence[Row]) -> str:
    """Markdown: one row per loss, the target first: mean ± sample deviation over seeds, in percent.

    A run that diverged makes its row NaN.
    """
    names = columns_of(study)
    body = [[*_head(row), len(row.runs), *_cells(row, names)] for row in rows]
    return _markdown(body, [*_axes(study), "loss", "seeds", *names])


def difference_table(study: Study, rows: Sequence[Row]) -> str:
    """Markdown: each loss less the first of its setting, with interval and verdict."""
    body = []
    for row in rows:
        first = reference_of(row, rows)
        if row is not first:
            body.append([*_head(row), first.loss, *_gains(row, first, columns_of(study))])
    headers = [*_axes(study), "loss", "minus", *columns_of(study)]
    return _markdown(body, headers)


def write_reports(study: Study, results: Sequence[CellResult]) -> None:
    """Write summary.md, summary.csv, cells.csv and the pictures into OUTPUT_DIR."""
    rows = rows_of(study, results)
    _write_csv(study.output / "summary.csv", _summary_records(study, rows))
    _write_csv(study.output / "cells.csv", _cell_records(study, results))
    pictures = write_figures(study, results, rows)
    parts = [score_table(study, rows), _NOTE]
    if len(rows) > len(study.settings):
        parts.append(difference_table(study, rows))
    parts += [_sentence(study, *one) for one in correlations(study, rows)]
    if failures := [f"- {one.cell}: {one.reason}" for one in results if one.reason]:
        parts.append("\n".join(["Failed (see failed.json there; --retry-failed):", *failures]))
    parts += [f"![{path.stem}]({path.name})" for path in pictures]
    with replacing(study.output / "summary.md") as partial:
        partial.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _sentence(study: Study, setting: Setting, found: list[Correlation]) -> str:
    where = f"{setting.name}: " if setting.name else ""
    numbers = ", ".join(map(str, found))
    return (
        f"{where}rank correlation of proxy reward and {study.target} over {found[0].pairs} "
        f"losses: {numbers} (95 % bootstrap intervals)"
    )


def _summary_records(study: Study, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """A record for each row and score; numbers in full."""
    records = []
    for row in rows:
        for name in columns_of(study):
            values, first = row.values(name), reference_of(row, rows)
            found = difference(row, first, name)
            records.append(
                {
                    "dataset": row.setting.dataset,
                    "network": row.setting.network,
                    "loss": row.loss,
                    "score": name,
                    "seeds": len(values),
                    "mean": mean(values),
                    "deviation": deviation(values),
                    "reference": first.loss,
                    "difference": found.mean,
                    "low": found.low,
                    "high": found.high,
                    "verdict": verdict_of(found, name),
                }
            )
    return records


def _cell_records(study: Study, results: Sequence[CellResult]) -> list[dict[str, Any]]:
    """A record for each cell; numbers in full."""
    return [
        {
            "dataset": one.cell.setting.dataset,
            "network": one.cell.setting.network,
            "loss": one.cell.loss,
            "seed": one.cell.seed,
            "failed": one.reason,
            **{name: "" if one.reason else value_of(one, name) for name in columns_of(study)},
        }
        for one in results
    ]


def _write_csv(path: Path, records: Sequence[dict[str, Any]]) -> None:
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(records[0]))
        writer.writeheader()
        writer.writerows(records)


def _axes(study: Study) -> list[str]:
    node = study.config.STUDY
    return ["dataset"] * bool(node.DATASETS) + ["network"] * bool(node.NETWORKS)


def _head(row: Row) -> list[str]:
    return [*row.setting.labels, row.loss]


def _cells(row: Row, names: Sequence[str]) -> list[str]:
    return [mean_and_spread(row.values(name)) for name in names]


def _gains(row: Row, reference: Row, names: Sequence[str]) -> list[str]:
    found = {name: difference(row, reference, name) for name in names}
    return [f"{one.numbers} {verdict_of(one, name)}".strip() for name, one in found.items()]


def _markdown(body: Sequence[Sequence[Any]], headers: Sequence[str]) -> str:
    # Numbers are texts already: they keep their zeros.
    return tabulate(body, headers=headers, tablefmt="github", disable_numparse=True)
