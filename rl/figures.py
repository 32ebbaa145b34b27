"""Pictures of the curves of thetas.

Shapes: C curves of a space, D search coordinates, H x W pixels of a picture.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from autoseg_core import SearchSpace
from autoseg_core.plot import draw_curve, frame_curves, new_figure

Image = NDArray[np.uint8]
Course = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""label -> (x, y), a line of a frame's last panel; y is a score in [0, 1]."""


def draw_curves(
    space: SearchSpace, thetas: Sequence[NDArray[np.float64]], labels: Sequence[str]
) -> Figure:
    """One panel per curve of the space, with one line per theta (D,), named by its label.

    Control points are dots. Save it with ``figure.savefig(path)``.
    """
    figure = new_figure(3.2 * len(space.curves), 3.4, layout="compressed")
    panels = figure.subplots(1, len(space.curves), squeeze=False)[0]
    points = [space.control_points(theta) for theta in thetas]
    for index, (panel, name) in enumerate(zip(panels, space.curves, strict=True)):
        frame_curves(panel, name)
        for label, curves in zip(labels, points, strict=True):
            draw_curve(panel, space.surface, torch.from_numpy(curves[index]), label)
    panels[0].legend(loc="upper left", fontsize="small")
    return figure


def figure_to_image(figure: Figure) -> Image:
    """Render a figure of this module: (H, W, 3) uint8 RGB."""
    width, height = figure.canvas.get_width_height()
    pixels = io.BytesIO()
    figure.savefig(pixels, format="rgba", dpi=figure.dpi)
    image = np.frombuffer(pixels.getvalue(), dtype=np.uint8).reshape(height, width, 4)
    return image[..., :3].copy()


def draw_frame(
    space: SearchSpace, thetas: Mapping[str, NDArray[np.float64]], course: Course, xlabel: str
) -> Image:
    """(H, W, 3) uint8 RGB; H and W depend on the space's number of curves only.

    Args:
        space: whose curves are drawn, one panel each.
        thetas: label -> theta (D,), one line per panel.
        course: lines of the last panel.
        xlabel: what its x is.
    """
    curves = draw_curves(space, list(thetas.values()), list(thetas))
    figure = Figure(figsize=(3.2, 3.4), layout="constrained")  # as a panel of draw_curves
    panel = figure.subplots()
    for label, (x, y) in course.items():
        panel.plot(x, y, marker="o", markersize=2, linewidth=1, label=label)
    panel.set(xlabel=xlabel, ylabel="score", ylim=(-0.02, 1.02))
    panel.legend(loc="lower right", fontsize="small")
    return np.concatenate([figure_to_image(one) for one in (curves, figure)], axis=1)
