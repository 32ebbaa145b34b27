"""visualize.py: label maps to pictures, by hand on a few pixels."""

from __future__ import annotations

import numpy as np
import pytest

from auto_seg_loss.visualize import (
    BOTH,
    FALSE,
    MISSED,
    boundary_overlay,
    grid,
    legend,
    overlay,
    shrunk,
)

COLOURS = [[0, 0, 0], [200, 0, 100]]


def plain(height: int, width: int, value: int = 80) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


@pytest.mark.parametrize("alpha, red", [(0.0, 80), (0.25, 110), (1.0, 200)])
def test_an_overlay_mixes_image_and_colours(alpha, red):
    drawn = overlay(plain(1, 2), np.array([[1, 255]]), COLOURS, alpha)
    assert drawn[0, 0, 0] == red
    assert drawn[0, 1].tolist() == [80, 80, 80]  # void shows the image


def halves(column: int, width: int = 8, height: int = 3) -> np.ndarray:
    """Class 0 left of a column, class 1 from there on; its edges are two pixels wide."""
    return np.where(np.arange(width) < column, 0, 1)[None].repeat(height, 0)


def test_edges_have_the_colours_of_the_legend():
    drawn = boundary_overlay(plain(3, 8), halves(3), halves(4), 2)
    middle = [tuple(pixel) for pixel in drawn[1].tolist()]
    dark = (40, 40, 40)
    assert middle == [dark, dark, FALSE, BOTH, MISSED, dark, dark, dark]


def test_void_makes_no_edge_and_hides_those_in_it():
    target = np.full((3, 8), 255)
    target[:, :2] = 0
    drawn = boundary_overlay(plain(3, 8), halves(4), target, 2)
    assert (drawn == 40).all()


def test_a_legend_has_a_square_of_each_colour_in_as_many_lines_as_it_needs():
    colours = np.array([[0, 0, 200], [200, 0, 100], [0, 90, 0]], np.uint8)
    names = ["background", "roof", "road"]
    wide, narrow = (legend(names, colours, width) for width in (600, 100))
    assert wide.shape == (28, 600, 3) and narrow.shape == (3 * 28, 100, 3)
    inside = [narrow[28 * line + 7, 7].tolist() for line in range(3)]
    assert inside == colours.tolist()
    first, second, third = (np.argwhere((wide == colour).all(-1))[0, 1] for colour in colours)
    assert first < second < third


def test_a_grid_puts_images_side_by_side_on_white():
    sheet = grid([[plain(2, 3, 10), plain(1, 2, 20)], [plain(2, 3, 30)]], gap=1)
    assert sheet.shape == (5, 7, 3)
    assert sheet[..., 0].tolist() == [
        [10, 10, 10, 255, 20, 20, 255],
        [10, 10, 10, 255, 255, 255, 255],
        [255] * 7,
        [30, 30, 30, 255, 255, 255, 255],
        [30, 30, 30, 255, 255, 255, 255],
    ]


@pytest.mark.parametrize(
    "size, longest, small",
    [((4, 8), 4, (2, 4)), ((8, 4), 4, (4, 2)), ((3, 5), 9, (3, 5)), ((1, 9), 3, (1, 3))],
)
def test_shrinking_keeps_the_proportions_and_never_enlarges(size, longest, small):
    assert shrunk(np.zeros(size, np.uint8), longest).shape == small
    assert shrunk(np.zeros((*size, 3), np.uint8), longest).shape == (*small, 3)
