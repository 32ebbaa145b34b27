"""auto_seg_loss.study.finding_setup: what is refused before find_loss.py spends any time."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from auto_seg_loss.data.catalog import unregister
from auto_seg_loss.data.folder import PARTS
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.study.finding_configs import Wish
from auto_seg_loss.study.finding_setup import options_named, prepared

SQUARE = np.zeros((24, 24), np.uint8)
SQUARE[8:16, 8:16] = 1
RING = np.where(SQUARE, SQUARE, 255)
RING[:6], RING[18:], RING[:, :6], RING[:, 18:] = 0, 0, 0, 0  # void, two pixels wide


@pytest.fixture
def prepare(tmp_path):
    """``prepare(label, metric, *opts)``: the config for ten images, all with this label."""

    def make(label, metric="mIoU", *opts, **options):
        for kind, pixels in ("images", np.full((24, 24), 128, np.uint8)), ("labels", label):
            (tmp_path / kind).mkdir(exist_ok=True)
            for number in range(10):
                Image.fromarray(pixels).save(tmp_path / kind / f"{number}.png")
        wish = {"images": tmp_path / "images", "labels": tmp_path / "labels", "minutes": 1}
        wish |= {"output": tmp_path / "found", "metric": metric, "opts": opts}
        with options_named():
            return prepared(Wish(**wish | options))

    yield make
    for name in (f"{name}_sem_seg_{part}" for name in ("cut", "own") for part in PARTS):
        unregister(name)


@pytest.mark.parametrize("metric", ["BF1", "mIoU+BIoU"])
def test_void_along_all_borders_is_refused_where_the_metric_sees_edges(prepare, tmp_path, metric):
    edges = f"no {metric[-4:].strip('+')}, not even .*: TEST.PROTOCOL paper SEARCH.VOID_EDGES True"
    with pytest.raises(ConfigError, match=edges):
        prepare(RING, metric)
    assert not (tmp_path / "found").exists()


@pytest.mark.parametrize(
    ("label", "metric", "opts"),
    [
        (RING, "mIoU", ()),
        (RING, "BF1", ("TEST.PROTOCOL", "paper", "SEARCH.VOID_EDGES", "True")),
        (SQUARE, "BF1", ()),
    ],
)
def test_edges_that_can_be_scored_are_not_refused(prepare, label, metric, opts):
    assert metric == prepare(label, metric, *opts).SEARCH.METRIC
