"""What find_loss.py decides before it trains."""

from __future__ import annotations

from pathlib import Path

import pytest

from auto_seg_loss.config import changed
from auto_seg_loss.study.finding import _surrogates
from auto_seg_loss.study.finding_configs import Wish, configs_of


@pytest.fixture
def configs(make_cfg):
    """``configs(metric, KEY, VALUE, ...)``: the config of the cut set, and those that are left."""

    def make(metric, *opts):
        cut = make_cfg("SEARCH.METRIC", metric, *opts)
        wish = Wish(Path("images"), Path("labels"), metric, 1.0, Path("found"), opts=opts)
        return cut, configs_of(wish, {}, {(32, 32)}, cut)

    return make


@pytest.mark.parametrize(
    ("classes", "metric", "opts", "surrogates"),
    [
        (2, "BF1", (), ["soft:mIoU"]),
        (2, "bf1", ("SEARCH.SURROGATE", "BF1"), ["soft:BF1"]),
        (2, "BF1", ("SEARCH.SURROGATE", "Dice"), ["soft:Dice"]),
        (2, "BIoU", (), ["soft:BIoU"]),
        (2, "mIoU+BF1", (), ["soft:mIoU+BF1"]),
        (3, "BF1", (), ["soft:BF1"]),
        (3, "BF1", ("SEARCH.SURROGATE", "mIoU"), ["soft:BF1", "soft:mIoU"]),
    ],
)
def test_edges_of_two_classes_are_no_surrogate(configs, capsys, classes, metric, opts, surrogates):
    cut, written = configs(metric, "MODEL.SEM_SEG_HEAD.NUM_CLASSES", classes, *opts)
    search = written["find.yaml"]["SEARCH"]
    cfg = changed(cut, {"SEARCH.SURROGATE": search.get("SURROGATE", "")})
    assert _surrogates(cfg, search["METRIC"]) == surrogates
    assert ("the inverse" in capsys.readouterr().out) == (
        f"soft:{search['METRIC']}" not in surrogates
    )
