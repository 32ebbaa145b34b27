"""Pictures of a search: the curves that thetas stand for, and how its regret fell.

Shapes: C curves of a space, D search coordinates, K seeds, B evaluations.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from autoseg_core import Space
from autoseg_core.plot import draw_curve, frame_curves, new_figure
from rl.regret import band

_LEAST_REGRET = 1e-12
"""Drawn for less: the logarithm of a regret of 0 is not on paper."""


def draw_curves(
    space: Space, thetas: Sequence[NDArray[np.float64]], labels: Sequence[str]
) -> Figure:
    """A panel for each of the space's C curves, a line for each theta (D,), named by its label.

    Control points are dots. Save it with ``figure.savefig(path)``. ValueError unless there is
    one label a theta.
    """
    if len(thetas) != len(labels):
        raise ValueError(f"expected a label for each of {len(thetas)} thetas, got {len(labels)}")
    figure = new_figure(3.2 * len(space.curves), 3.4, layout="compressed")
    panels = figure.subplots(1, len(space.curves), squeeze=False)[0]
    points = [space.control_points(theta) for theta in thetas]
    for index, (panel, name) in enumerate(zip(panels, space.curves, strict=True)):
        frame_curves(panel, name)
        for label, curves in zip(labels, points, strict=True):
            draw_curve(panel, space.surface, torch.from_numpy(curves[index]), label)
    panels[0].legend(loc="upper left", fontsize="small")
    return figure


def draw_regret(title: str, regrets: Mapping[str, ArrayLike]) -> Figure:
    """A line for each agent, its mean regret over the evaluations, in a band of ± standard error.

    Args:
        title: what was searched.
        regrets: label -> (K, B) regret >= 0 of each seed after each evaluation.
    """
    figure = new_figure(6.4, 4.2, layout="constrained")
    panel = figure.subplots()
    for label, curves in regrets.items():
        mean, error = band(curves)
        low, middle, high = (
            np.maximum(y, _LEAST_REGRET) for y in (mean - error, mean, mean + error)
        )
        x = np.arange(1, mean.size + 1)
        (line,) = panel.plot(x, middle, label=label)
        panel.fill_between(x, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    panel.set(title=title, xlabel="evaluations", ylabel="simple regret", yscale="log")
    panel.grid(color="0.9")
    panel.legend(fontsize="small")
    return figure


def figure_to_image(figure: Figure) -> NDArray[np.uint8]:
    """Render a figure of this module: (H, W, 3) uint8 RGB."""
    width, height = figure.canvas.get_width_height()
    pixels = io.BytesIO()
    figure.savefig(pixels, format="rgba", dpi=figure.dpi)
    image = np.frombuffer(pixels.getvalue(), dtype=np.uint8).reshape(height, width, 4)
    return image[..., :3].copy()
