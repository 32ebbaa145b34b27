"""Frames."""

from __future__ import annotations

import numpy as np
import pytest

from autoseg_core import SearchSpace
from rl.envs.rendering import draw_frame


@pytest.mark.parametrize(("metric", "width"), [("mAcc", 640), ("mIoU", 960), ("BF1", 1600)])
def test_a_frame_s_size_depends_on_the_space_only(metric: str, width: int) -> None:
    space = SearchSpace(metric)
    thetas = {"identity": space.identity()}
    empty = draw_frame(space, thetas, {"reward": ([], [])}, "candidate")
    full = draw_frame(
        space,
        {**thetas, "last": np.full(space.dim, 0.9)},
        {"reward": (list(range(500)), [0.5] * 500), "best": ([1], [1.0])},
        "candidate",
    )
    assert empty.shape == full.shape == (340, width, 3)
    assert empty.dtype == full.dtype == np.uint8
    assert not np.array_equal(empty, full)


def test_nothing_is_cut_off_at_the_edges() -> None:
    space = SearchSpace("mIoU")
    frame = draw_frame(space, {"identity": space.identity()}, {"score": ([0, 1], [0, 1])}, "p")
    edges = [frame[0], frame[-1], frame[:, 0], frame[:, -1]]
    assert all((edge == 255).all() for edge in edges)
