"""Pictures of the curves that thetas stand for.

Shapes: C curves of a space, D search coordinates.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from autoseg_core import SearchSpace
from autoseg_core.plot import draw_curve, frame_curves, new_figure


def draw_curves(
    space: SearchSpace, thetas: Sequence[NDArray[np.float64]], labels: Sequence[str]
) -> Figure:
    """One panel per curve of the space, in it one line per theta (D,), named by its label.

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


def figure_to_image(figure: Figure) -> NDArray[np.uint8]:
    """Render a figure of this module: (H, W, 3) uint8 RGB."""
    width, height = figure.canvas.get_width_height()
    pixels = io.BytesIO()
    figure.savefig(pixels, format="rgba", dpi=figure.dpi)
    image = np.frombuffer(pixels.getvalue(), dtype=np.uint8).reshape(height, width, 4)
    return image[..., :3].copy()
