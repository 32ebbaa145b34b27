"""Losses as text: many in three tables, or one in full.

Scores are in percent, as reported by those who found the loss. Forms: "plain" is wrapped for a
window of 150 columns, "markdown" is not wrapped, "json" is for programs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from tabulate import tabulate

from autoseg_core.scores import METRICS
from autoseg_core.spec import LossSpec, LossTerm
from autoseg_core.zoo import RECOMMENDED

FORMS = ("plain", "markdown", "json")

_LOSSES = ("name", "metric", "surface", "pieces", "dataset", "network", "source")
_WIDTHS = (30, 16, None, None, 21, 24, 36)  # letters, in plain text
_POINTS = ("curve", "point", "u", "v")
_SHOWN_APART = {"metric", "control_points"}  # of a term


def list_losses(specs: Sequence[LossSpec], form: str = "plain") -> str:
    """The losses with origins and notes, the recommended one for each metric, and their reported
    scores, in this ``form``. "json": a list of the contents of their files.
    """
    if form == "json":
        return json.dumps([json.loads(spec.to_json()) for spec in specs], indent=1)
    rows = [_row(spec) for spec in specs]
    notes = [(spec.name, spec.provenance.note) for spec in specs if spec.provenance.note]
    told = [_table(notes, ("name", "note"), form, (None, 116))] if notes else []
    parts = [_table(rows, _LOSSES, form, _WIDTHS), *told, *_recommended(specs, form)]
    return "\n\n".join([*parts, *_scores(specs, form)])


def show_loss(spec: LossSpec, form: str = "plain") -> str:
    """One loss in full; arguments as for ``list_losses``. "json": the text of its file."""
    if form == "json":
        return spec.to_json().rstrip()
    origin = spec.provenance.model_dump(exclude_none=True, exclude={"reported"})
    parts = [_heading(spec.name, form)]
    if origin:
        parts.append(_table(origin.items(), ("provenance", ""), form, (None, 100)))
    settings = spec.model_dump(include={"combine", "scale"})
    parts.append(_table(settings.items(), ("setting", "value"), form))
    for number, term in enumerate(spec.terms, start=1):
        parts.append(_heading(f"Term {number} of {len(spec.terms)}: {term.target}", form))
        settings = term.model_dump(exclude=_SHOWN_APART)
        parts.append(_table(settings.items(), ("setting", "value"), form))
        parts.append(_table(_points(term), _POINTS, form))
    return "\n\n".join([*parts, *_scores([spec], form)])


def _row(spec: LossSpec) -> list[Any]:
    """Values of ``_LOSSES``; the metrics of several terms are written as they are combined."""
    told, terms = spec.provenance, spec.terms
    sign = " + " if spec.combine == "sum" else " × "
    metrics = sign.join(
        f"{t.target}" if t.weight == 1 else f"{t.weight:g} × {t.target}" for t in terms
    )
    scaled = metrics if spec.scale == 1 else f"{spec.scale:g} × ({metrics})"
    columns = [[t.surface for t in terms], [str(t.pieces) for t in terms]]
    described = [" + ".join(column) for column in columns]
    return [spec.name, scaled, *described, told.dataset, told.network, told.source]


def _points(term: LossTerm) -> list[list[Any]]:
    curves = zip(term.curves, term.control_points, strict=True)
    return [
        [name, f"B{index}", u, v] for name, curve in curves for index, (u, v) in enumerate(curve)
    ]


def _recommended(specs: Sequence[LossSpec], form: str) -> list[str]:
    """A heading, and a row for each metric that one of the losses is recommended for."""
    names = {spec.name for spec in specs}
    rows = [(metric, name) for metric, name in RECOMMENDED.items() if name in names]
    if not rows:
        return []
    heading = _heading("Recommended: load_loss takes the metric for the name", form)
    return [heading, _table(rows, ("metric", "loss"), form)]


def _scores(specs: Sequence[LossSpec], form: str) -> list[str]:
    """A heading, and a row for each loss and setting with a score; nothing without scores."""
    reports = [(spec.name, *item) for spec in specs for item in spec.provenance.reported.items()]
    if not reports:
        return []
    seen = {metric for *_, scores in reports for metric in scores}
    columns = [name for name in METRICS if name in seen]
    columns += sorted(seen.difference(columns))
    rows = [
        [name, where, *(f"{scores[c]:.2f}" if c in scores else "" for c in columns)]
        for name, where, scores in reports
    ]
    table = _table(rows, ("name", "scored on", *columns), form, numbers=len(columns))
    return [_heading("Reported scores, in percent", form), table]


def _heading(text: str, form: str) -> str:
    return f"## {text}" if form == "markdown" else text


def _table(
    rows: Iterable[Iterable[Any]],
    headers: Sequence[str],
    form: str,
    widths: Sequence[int | None] | None = None,
    numbers: int = 0,
) -> str:
    """Widths: of plain text. Numbers: how many columns at the end are aligned to the right."""
    return tabulate(
        [[_cell(value, form) for value in row] for row in rows],
        headers,
        tablefmt="github" if form == "markdown" else "simple",
        disable_numparse=True,  # a name like 1e5 stays what it is
        colalign=["left"] * (len(headers) - numbers) + ["right"] * numbers,
        maxcolwidths=widths if form == "plain" else None,
    )


def _cell(value: Any, form: str) -> str:
    """On one line; a bar would end a cell in Markdown."""
    text = " ".join(str("" if value is None else value).split())
    return text.replace("|", "\\|") if form == "markdown" else text
