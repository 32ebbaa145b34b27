"""config: keys beside those of Detectron2 and of other projects."""

from __future__ import annotations

import sys

import pytest
from detectron2.config import CfgNode, get_cfg
from detectron2.evaluation.testing import flatten_results_dict
from detectron2.projects.deeplab import add_deeplab_config

from auto_seg_loss.config import add_auto_seg_loss_config
from auto_seg_loss.runtime.configs import load_config
from autoseg_core import METRICS


def set_own(cfg: CfgNode) -> None:
    """As a project that knows better than DeepLab."""
    cfg.MODEL.SEM_SEG_HEAD.LOSS_TYPE, cfg.VIS_PERIOD, cfg.SOLVER.POLY_LR_POWER = "theirs", 7, 0.5
    cfg.STUDY = CfgNode({"SEEDS": [9]})


@pytest.mark.parametrize("others", [(), (add_deeplab_config, set_own), (set_own,)])
def test_adding_keys_changes_none_that_is_there(others):
    theirs, ours = get_cfg(), get_cfg()
    for add in others:
        add(theirs)
        add(ours)
    add_auto_seg_loss_config(ours)
    assert flatten_results_dict(theirs).items() <= flatten_results_dict(ours).items()


def test_modules_of_the_user_are_imported_first(tmp_path, monkeypatch):
    (tmp_path / "my_truthful.py").write_text(
        "from autoseg_core import METRICS, Metric, register_metric\n"
        "register_metric(Metric('MyOwn', METRICS['mIoU'].per_class))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        cfg = load_config("", ["IMPORTS", "['my_truthful']", "SEARCH.METRIC", "MyOwn"])
        assert METRICS["MyOwn"].name == cfg.SEARCH.METRIC
    finally:
        METRICS.pop("MyOwn", None)
        sys.modules.pop("my_truthful", None)
