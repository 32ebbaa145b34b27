"""A study in pictures: heat map, bars, scores over tolerances, borders, rewards against scores.

R: rows of a setting, its losses; S: scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from auto_seg_loss.study.finished import CellResult
from auto_seg_loss.study.images import pictures_of
from auto_seg_loss.study.matrix import Study, border_metrics
from auto_seg_loss.study.results import (
    Row,
    columns_of,
    correlations,
    deviation,
    difference,
    mean,
    reference_of,
    reward_pairs,
    verdict_of,
)
from auto_seg_loss.study.settings import Setting
from autoseg_core.files import replacing
from autoseg_core.plot import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Draw = Callable[[Study, Sequence[CellResult], Sequence[Row]], "Figure | None"]

_MARKS = {"better": " ▲", "worse": " ▼", "": ""}


def write_figures(study: Study, results: Sequence[CellResult], rows: Sequence[Row]) -> list[Path]:
    """Draw what there is to draw into OUTPUT_DIR; the files, in the order of the report."""
    written = []
    for name, draw in FIGURES.items():
        figure = draw(study, results, rows)
        if figure is not None:
            path = study.output / f"{name}.png"
            with replacing(path) as partial:
                figure.savefig(partial, format="png", dpi=120)
            written.append(path)
    return written


def heat_map(study: Study, results: Sequence[CellResult], rows: Sequence[Row]) -> Figure:
    """One panel per setting, rows are losses, columns scores: means, coloured by their differences.

    Blue is above the first loss, red below it; ▲ and ▼ where the interval excludes 0.
    """
    names, settings = columns_of(study), study.settings
    longest = max(len(row.loss) for row in rows)
    width, height = 0.9 * len(names) + 0.09 * longest + 1.5, 0.36 * len(rows) + 1.4 * len(settings)
    figure = new_figure(width, height, layout="constrained")
    panels = figure.subplots(len(settings), 1, squeeze=False)[:, 0]
    for panel, setting in zip(panels, settings, strict=True):
        _draw_heat(panel, setting, [row for row in rows if row.setting is setting], names)
    return figure


def _draw_heat(panel: Axes, setting: Setting, rows: Sequence[Row], names: Sequence[str]) -> None:
    found = [[difference(row, reference_of(row, rows), name) for name in names] for row in rows]
    gains = np.array([[one.mean for one in line] for line in found])
    # Each column has a scale of its own: scores differ in how far they move.
    largest = np.nanmax(np.abs(np.nan_to_num(gains)), axis=0)
    shades = gains / np.where(largest > 0, largest, 1.0)
    panel.imshow(shades, cmap="RdBu", vmin=-1.6, vmax=1.6, aspect="auto")
    for i, (row, line) in enumerate(zip(rows, found, strict=True)):
        for j, (name, one) in enumerate(zip(names, line, strict=True)):
            text = f"{mean(row.values(name)):.2f}{_MARKS[verdict_of(one, name)]}"
            panel.text(j, i, text, ha="center", va="center", fontsize="small")
    panel.set_xticks(range(len(names)), names)
    panel.set_yticks(range(len(rows)), [row.loss for row in rows])
    panel.set_title(setting.name, fontsize="medium")


def bars(study: Study, results: Sequence[CellResult], rows: Sequence[Row]) -> Figure:
    """A panel a score, a bar a row: mean, with ± sample standard deviation over seeds."""
    names = columns_of(study)
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    height = 0.24 * len(rows) + 0.9
    figure = new_figure(4.0 * columns + 1.5, height * lines + 0.3, layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel()
    for panel, name in zip(panels, names, strict=False):
        _draw_bars(panel, rows, name)
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    return figure


def _draw_bars(panel: Axes, rows: Sequence[Row], name: str) -> None:
    values = [row.values(name) for row in rows]
    means = np.array([mean(some) for some in values])
    errors = np.array([deviation(some) for some in values])  # NaN, of a single seed, is not drawn
    first = {row.setting.name: index for index, row in reversed(list(enumerate(rows)))}
    colours = ["0.6" if index in first.values() else "C0" for index in range(len(rows))]
    places = np.arange(len(rows))
    panel.barh(places, np.nan_to_num(means), xerr=errors, color=colours, capsize=2)
    labels = [", ".join([*row.setting.labels, row.loss]) for row in rows]
    panel.set_yticks(places, labels, fontsize="small")
    panel.set(title=name, ylim=(len(rows) - 0.4, -0.6))
    panel.grid(axis="x", color="0.9")
    panel.set_axisbelow(True)


def over_tolerances(
    study: Study, results: Sequence[CellResult], rows: Sequence[Row]
) -> Figure | None:
    """One panel per setting and score of borders, one line per loss, over tolerances."""
    if not study.config.STUDY.TOLERANCES:
        return None
    metrics, settings = border_metrics(), study.settings
    size = (4.2 * len(metrics), 3.6 * len(settings))
    figure = new_figure(*size, layout="constrained")
    panels = figure.subplots(len(settings), len(metrics), squeeze=False)
    for line, setting in zip(panels, settings, strict=True):
        for panel, metric in zip(line, metrics, strict=True):
            _draw_tolerances(
                panel, setting, [row for row in rows if row.setting is setting], metric
            )
    panels[0][0].legend(fontsize="x-small")
    return figure


def _draw_tolerances(panel: Axes, setting: Setting, rows: Sequence[Row], metric: str) -> None:
    """Also at TEST.TOLERANCE, whose score has the metric's bare name."""
    names = {radius: f"{metric}@{radius}" for radius in setting.config.STUDY.TOLERANCES}
    names |= {setting.config.TEST.TOLERANCE: metric}
    radii = sorted(names)
    for row in rows:
        values = [row.values(names[radius]) for radius in radii]
        errors = [deviation(some) for some in values]
        panel.errorbar(radii, [mean(some) for some in values], errors, capsize=2, label=row.loss)
    panel.set(title=setting.name, xlabel="tolerance, pixels", ylabel=metric, xticks=radii)


def borders(study: Study, results: Sequence[CellResult], rows: Sequence[Row]) -> Figure | None:
    """Rows are images, columns losses: the borders that its network of the first seed draws."""
    lines = [line for setting in study.settings for line in _border_lines(setting, results)]
    if not lines:
        return None
    columns = max(map(len, lines))
    figure = new_figure(2.6 * columns, 2.2 * len(lines), layout="compressed")
    panels = figure.subplots(len(lines), columns, squeeze=False)
    for line, own in zip(lines, panels, strict=True):
        for panel in own:
            panel.set_axis_off()
        for panel, (loss, picture) in zip(own, line, strict=False):
            panel.imshow(picture)
            panel.set_title(loss, fontsize="x-small")
    return figure


def _border_lines(
    setting: Setting, results: Sequence[CellResult]
) -> list[list[tuple[str, NDArray[np.uint8]]]]:
    first = {one.cell.loss: one for one in reversed(results) if one.cell.setting is setting}
    shown = [(loss, pictures_of(one)) for loss, one in reversed(first.items())]
    count = max((len(pictures) for _, pictures in shown), default=0)
    return [
        [(loss, pictures[place].borders) for loss, pictures in shown if pictures]
        for place in range(count)
    ]


def rewards(study: Study, results: Sequence[CellResult], rows: Sequence[Row]) -> Figure | None:
    """A panel a setting, a point a candidate: its reward in the search, and its mean target."""
    found = correlations(study, rows)
    if not found:
        return None
    figure = new_figure(4.6 * len(found), 4.2, layout="constrained")
    panels = figure.subplots(1, len(found), squeeze=False)[0]
    for panel, (setting, measured) in zip(panels, found, strict=True):
        pairs = reward_pairs(study, rows, setting)
        panel.plot(*zip(*pairs.values(), strict=True), "o", markersize=4)
        title = "\n".join([*setting.labels, *map(str, measured)])
        panel.set_title(title, fontsize="small")
        panel.set(xlabel="proxy reward", ylabel=f"{study.target} after full training, %")
        panel.grid(color="0.9")
    return figure


FIGURES: dict[str, Draw] = {
    "heatmap": heat_map,
    "bars": bars,
    "tolerances": over_tolerances,
    "rewards": rewards,
    "borders": borders,
}
"""File name -> what draws it; None when the study has nothing of the kind."""
