"""A study in pictures: scores over tolerances, and borders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from auto_seg_loss.study.cells import predictions_of
from auto_seg_loss.study.inspection import prediction_file, read_shown, shown_records
from auto_seg_loss.study.matrix import Study, border_metrics
from auto_seg_loss.study.results import Summary
from auto_seg_loss.visualize import boundary_overlay
from autoseg_core.files import replacing
from autoseg_core.plot import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Columns = dict[str, list[Summary]]


def write_figures(study: Study, columns: Columns) -> list[Path]:
    """Draw what there is to draw into OUTPUT_DIR; the files, in the order of the report."""
    figures = {}
    if study.config.STUDY.TOLERANCES:
        figures["tolerances"] = over_tolerances(study, columns)
    if study.config.STUDY.IMAGES:
        figures["borders"] = borders(study)
    for name, figure in figures.items():
        with replacing(study.output / f"{name}.png") as partial:
            figure.savefig(partial, format="png", dpi=120)
    return [study.output / f"{name}.png" for name in figures]


def over_tolerances(study: Study, columns: Columns) -> Figure:
    """One panel per setting and score of borders, one line per loss, over tolerances."""
    metrics, settings = border_metrics(), study.settings
    figure = new_figure(4.2 * len(metrics), 3.6 * len(settings), layout="constrained")
    panels = figure.subplots(len(settings), len(metrics), squeeze=False)
    for line, setting in zip(panels, settings, strict=True):
        # At TEST.TOLERANCE the score has the metric's bare name.
        own = setting.config.TEST.TOLERANCE
        radii = sorted({own, *setting.config.STUDY.TOLERANCES})
        for panel, metric in zip(line, metrics, strict=True):
            names = [metric if radius == own else f"{metric}@{radius}" for radius in radii]
            for row in zip(*(columns[name] for name in names), strict=True):
                if row[0].setting == setting.labels:
                    panel.plot(radii, [one.mean for one in row], "o-", label=row[0].loss)
            panel.set(title=", ".join(setting.labels), xlabel="tolerance, pixels", ylabel=metric)
    panels[0][0].legend(fontsize="x-small")
    return figure


def borders(study: Study) -> Figure:
    """Rows are images, columns losses: the borders that its network of the first seed draws."""
    rows = [(setting, one) for setting in study.settings for one in shown_records(setting.config)]
    cells = [cell for cell in study.cells if cell.seed == study.config.STUDY.SEEDS[0]]
    figure = new_figure(2.6 * len(study.losses), 2.2 * len(rows), layout="compressed")
    panels = figure.subplots(len(rows), len(study.losses), squeeze=False)
    for (setting, record), line in zip(rows, panels, strict=True):
        own = [cell for cell in cells if cell.setting is setting]
        for panel, cell in zip(line, own, strict=True):
            panel.set_axis_off()
            panel.set_title(cell.loss, fontsize="x-small")
            folder = predictions_of(cell.config, cell.trial)
            if prediction_file(folder, record).is_file():
                image, truth, guess = read_shown(cell.config, record, folder)
                classes = cell.config.MODEL.SEM_SEG_HEAD.NUM_CLASSES
                panel.imshow(boundary_overlay(image, guess, truth, classes))
    return figure
