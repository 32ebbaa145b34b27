"""Pictures of a search: the curves that thetas stand for.

Shapes: C curves of a space, D search coordinates.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from autoseg_core.surfaces import evaluate_curve
from autoseg_core.surfaces.space import SearchSpace

_RESOLUTION = 201


def draw_curves(
    space: SearchSpace, thetas: Sequence[NDArray[np.float64]], labels: Sequence[str]
) -> Figure:
    """A panel for each of the space's C curves, a line for each theta (D,), named by its label.

    Control points are dots. Save it with ``figure.savefig(path)``. ValueError unless there is
    one label a theta.
    """
    if len(thetas) != len(labels):
        raise ValueError(f"expected a label for each of {len(thetas)} thetas, got {len(labels)}")
    figure = Figure(figsize=(3.2 * len(space.curves), 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(space.curves), squeeze=False)[0]
    x = torch.linspace(0.0, 1.0, _RESOLUTION, dtype=torch.float64)
    points = [space.control_points(theta) for theta in thetas]
    for index, (panel, name) in enumerate(zip(panels, space.curves, strict=True)):
        panel.plot([0, 1], [0, 1], color="0.85", linewidth=1)
        for label, curves in zip(labels, points, strict=True):
            y = evaluate_curve(space.surface, torch.from_numpy(curves[index]), x)
            (line,) = panel.plot(x.numpy(), y.numpy(), label=label)
            panel.plot(*curves[index].T, "o", markersize=3, color=line.get_color())
        panel.set(title=name, xlabel="p", xlim=(0, 1), ylim=(-0.02, 1.02), aspect="equal")
    panels[0].legend(loc="upper left", fontsize="small")
    return figure


def figure_to_image(figure: Figure) -> NDArray[np.uint8]:
    """Render a figure from `draw_curves`: (H, W, 3) uint8 RGB."""
    width, height = figure.canvas.get_width_height()
    pixels = io.BytesIO()
    figure.savefig(pixels, format="rgba", dpi=figure.dpi)
    image = np.frombuffer(pixels.getvalue(), dtype=np.uint8).reshape(height, width, 4)
    return image[..., :3].copy()
