"""Frames of the environments: the surfaces beside the course of the scores, as one image.

Shapes: D search coordinates, H x W image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import gymnasium
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from autoseg_core import SearchSpace
from rl.figures import draw_curves, figure_to_image

Frame = NDArray[np.uint8]


def draw_frame(
    space: SearchSpace,
    thetas: Mapping[str, NDArray[np.float64]],
    course: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    xlabel: str,
) -> Frame:
    """(H, W, 3) uint8 RGB; H and W depend on the space's number of curves only.

    Args:
        space: whose curves are drawn, a panel each.
        thetas: label -> theta (D,), one line per panel.
        course: label -> (x, y), a line of the last panel; y is a score in [0, 1].
        xlabel: what its x is.
    """
    curves = draw_curves(space, list(thetas.values()), list(thetas))
    images = [figure_to_image(figure) for figure in (curves, _draw_course(course, xlabel))]
    return np.concatenate(images, axis=1)


def say_that_nothing_is_rendered(env_id: str) -> None:
    """What render() tells whoever made the environment without a render_mode."""
    gymnasium.logger.warn(
        "You are calling render method without specifying any render mode. You can specify the "
        f'render_mode at initialization, e.g. gymnasium.make("rl:{env_id}", '
        'render_mode="rgb_array")'
    )


def _draw_course(
    course: Mapping[str, tuple[Sequence[float], Sequence[float]]], xlabel: str
) -> Figure:
    figure = Figure(figsize=(3.2, 3.4), layout="constrained")  # as a panel of draw_curves
    panel = figure.subplots()
    for label, (x, y) in course.items():
        panel.plot(x, y, marker="o", markersize=2, linewidth=1, label=label)
    panel.set(xlabel=xlabel, ylabel="score", ylim=(-0.02, 1.02))
    panel.legend(loc="lower right", fontsize="small")
    return figure
