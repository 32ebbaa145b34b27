"""A study in pictures: scores over tolerances, and borders."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from PIL import Image

from auto_seg_loss.study.inspection import BORDER_METRICS, gallery, has_predictions
from auto_seg_loss.study.matrix import Study
from auto_seg_loss.visualize import Image as Picture
from auto_seg_loss.visualize import boundary_overlay, grid
from autoseg_core.files import replacing
from autoseg_core.plot import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Means = Mapping[str, Mapping[tuple[tuple[str, ...], str], float]]
"""Score -> labels of a setting, loss -> mean over seeds."""


def write_figures(study: Study, means: Means) -> list[str]:
    """Draw the available figures into OUTPUT_DIR; returns Markdown that shows them."""
    found = []
    if study.config.STUDY.TOLERANCES:
        with replacing(study.output / "tolerances.png") as partial:
            over_tolerances(study, means).savefig(partial, format="png", dpi=120)
        found.append("![tolerances](tolerances.png)")
    losses, rows = borders(study)
    if rows:
        with replacing(study.output / "borders.png") as partial:
            Image.fromarray(grid(rows)).save(partial, "PNG")
        found.append(f"![borders](borders.png)\n\nImage, truth, {', '.join(losses)}.")
    return found


def over_tolerances(study: Study, means: Means) -> Figure:
    """One panel per setting and score of borders, one line per loss, over tolerances."""
    settings = study.settings
    figure = new_figure(4.2 * len(BORDER_METRICS), 3.6 * len(settings), layout="constrained")
    panels = figure.subplots(len(settings), len(BORDER_METRICS), squeeze=False)
    for line, setting in zip(panels, settings, strict=True):
        # At TEST.TOLERANCE the score has the metric's bare name.
        own = setting.config.TEST.TOLERANCE
        radii = sorted({own, *setting.config.STUDY.TOLERANCES})
        for panel, metric in zip(line, BORDER_METRICS, strict=True):
            names = [metric if radius == own else f"{metric}@{radius}" for radius in radii]
            for loss in study.losses:
                drawn = [means[name][setting.labels, loss] for name in names]
                panel.plot(radii, drawn, "o-", label=loss)
            panel.set(title=", ".join(setting.labels), xlabel="tolerance, pixels", ylabel=metric)
    panels[0][0].legend(fontsize="x-small")
    return figure


def borders(study: Study) -> tuple[list[str], list[list[Picture]]]:
    """Losses, and a row for each shown image: the image, the borders of the ground truth, and those
    predicted with the first seed. A loss that diverged anywhere is left out."""
    cells = [cell for cell in study.cells if cell.seed == study.config.STUDY.SEEDS[0]]
    lost = {cell.loss for cell in cells if not has_predictions(cell.config, cell.predictions)}
    rows = []
    for setting in study.settings:
        own = [cell for cell in cells if cell.setting is setting and cell.loss not in lost]
        classes = setting.config.MODEL.SEM_SEG_HEAD.NUM_CLASSES
        draw = partial(boundary_overlay, num_classes=classes)
        rows += gallery(setting.config, [cell.predictions for cell in own], draw)
    return [loss for loss in study.losses if loss not in lost], rows
