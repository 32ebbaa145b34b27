"""Pictures of curves."""

from __future__ import annotations

import numpy as np
import pytest

from autoseg_core import SearchSpace
from rl.figures import draw_curves, figure_to_image


@pytest.mark.parametrize(("metric", "surface"), [("mIoU", "bezier"), ("BF1", "linear")])
def test_one_panel_per_curve_and_one_line_per_theta(metric: str, surface: str) -> None:
    space = SearchSpace(metric, surface, 2)
    thetas = [space.identity(), np.full(space.dim, 0.7)]
    figure = draw_curves(space, thetas, ["identity", "searched"])
    assert [panel.get_title() for panel in figure.axes] == list(space.curves)
    _, identity, points, *_ = figure.axes[0].get_lines()
    np.testing.assert_allclose(identity.get_ydata(), identity.get_xdata(), atol=1e-9)
    assert len(points.get_xdata()) == len(space.control_points(thetas[0])[0])
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["identity", "searched"]


def test_image_has_the_figure_s_size() -> None:
    space = SearchSpace("mIoU")
    figure = draw_curves(space, [space.identity()], ["identity"])
    image = figure_to_image(figure)
    width, height = figure.canvas.get_width_height()
    assert (image.shape, image.dtype) == ((height, width, 3), np.uint8)
    assert image.max() == 255 and image.min() < 100
