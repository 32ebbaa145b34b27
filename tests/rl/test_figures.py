"""Pictures of curves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autoseg_core import SearchSpace, search_space
from rl.figures import draw_curves, figure_to_image


@pytest.mark.parametrize("metric", ["mAcc", "mIoU", "BF1"])
@pytest.mark.parametrize("surface", ["bezier", "linear"])
def test_a_panel_a_curve_and_a_line_a_theta(metric: str, surface: str, tmp_path: Path) -> None:
    space = SearchSpace(metric, surface, 2)
    thetas = [space.identity(), np.full(space.dim, 0.7)]
    figure = draw_curves(space, thetas, ["identity", "searched"])
    assert [panel.get_title() for panel in figure.axes] == list(space.curves)
    _, identity, points, *_ = figure.axes[0].get_lines()
    np.testing.assert_allclose(identity.get_ydata(), identity.get_xdata(), atol=1e-9)
    assert len(points.get_xdata()) == len(space.control_points(thetas[0])[0])
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["identity", "searched"]
    figure.savefig(tmp_path / "curves.png")


def test_curves_of_several_metrics() -> None:
    space = search_space("mAcc+BF1")
    figure = draw_curves(space, [space.identity()], ["identity"])
    assert [panel.get_title() for panel in figure.axes] == list(space.curves)


def test_image_has_the_figure_s_size() -> None:
    space = SearchSpace("mIoU")
    figure = draw_curves(space, [space.identity()], ["identity"])
    image = figure_to_image(figure)
    width, height = figure.canvas.get_width_height()
    assert image.shape == (height, width, 3)
    assert image.dtype == np.uint8
    assert image.max() == 255
    assert image.min() < 100
