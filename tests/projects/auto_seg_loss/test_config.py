"""config.py, and the YAML files: each loads, and what can be built is built."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.config import CfgNode, get_cfg
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.modeling import build_model
from detectron2.projects.deeplab import add_deeplab_config

from auto_seg_loss.config import add_auto_seg_loss_config, project_defaults
from auto_seg_loss.errors import ConfigError
from auto_seg_loss.losses import build_loss
from auto_seg_loss.preflight import load_config
from auto_seg_loss.problem import build_space
from auto_seg_loss.search import build_agent
from autoseg_core import METRICS, load_spec
from autoseg_core.zoo import zoo_names

CONFIGS = Path(__file__).parents[3] / "projects" / "AutoSegLoss" / "configs"
FILES = sorted(CONFIGS.rglob("*.yaml"))
NAMES = [str(path.relative_to(CONFIGS)) for path in FILES]
BASES = [name for name in NAMES if Path(name).name.startswith("Base-")]
FOLDERS = [
    "msrc/Base-MSRC.yaml",
    "idd_lite/Base-IDD-lite.yaml",
    "crackforest/Base-CrackForest.yaml",
]
RUNNABLE = [name for name in NAMES if name not in BASES]
SEARCHES = [name for name in RUNNABLE if "search" in name]
RETRAININGS = [name for name in RUNNABLE if "/retrain/" in name]


def load(name: str):
    # Weights that a network takes from elsewhere are left where they are.
    offline = ["MODEL.DEVICE", "cpu", "MODEL.TIMM.PRETRAINED", "False"]
    cfg = load_config(str(CONFIGS / name), offline)
    cfg.freeze()
    return cfg


@functools.cache
def _build(architecture: str) -> None:
    cfg = CfgNode.load_cfg(architecture)
    with torch.device("meta"):
        build_model(cfg)


def set_own(cfg: CfgNode) -> None:
    """As a project that knows better than DeepLab."""
    cfg.MODEL.SEM_SEG_HEAD.LOSS_TYPE, cfg.VIS_PERIOD, cfg.SOLVER.POLY_LR_POWER = "theirs", 7, 0.5
    cfg.STUDY = CfgNode({"SEEDS": [9]})


TARGETS = ("miou", "fwiou", "macc", "gacc", "biou", "bf1", "miou+biou", "miou+bf1")


@pytest.mark.parametrize("target", TARGETS)
def test_each_target_has_a_search_on_each_data_set(target):
    for folder in ("voc", "cityscapes"):
        for surface in ("bezier", "linear"):
            assert f"{folder}/search/{target}-{surface}.yaml" in SEARCHES
            assert surface == load(f"{folder}/search/{target}-{surface}.yaml").SEARCH.SURFACE
    for folder in ("camvid", "shapes"):
        for surface, end in (("bezier", ""), ("linear", "-linear")):
            cfg = load(f"{folder}/search-{target}{end}.yaml")
            assert surface == cfg.SEARCH.SURFACE and cfg.OUTPUT_DIR.endswith(f"{target}{end}")


def test_each_published_vector_has_a_retraining():
    published = {loss for loss in zoo_names() if loss.startswith("voc-")}
    for folder in ("voc", "cityscapes"):
        specs = {load(n).MODEL.SEM_SEG_HEAD.LOSS_SPEC for n in RETRAININGS if folder in n}
        assert specs == published | {""}


@pytest.mark.parametrize("name", RETRAININGS)
def test_retrainings_have_the_released_schedule(name):
    cfg = load(name)
    solver = cfg.SOLVER
    assert (solver.IMS_PER_BATCH, solver.MAX_ITER, solver.BASE_LR) == (32, 10000, 0.02)
    assert (solver.HEAD_LR_FACTOR, cfg.MODEL.RESNETS.DEPTH) == (10, 101)
    assert cfg.INPUT.CROP.SIZE == [512, 512]
    build_loss(cfg)


@pytest.mark.parametrize("name", [name for name in SEARCHES if "/search/" in name])
def test_large_searches_have_the_released_settings(name):
    cfg = load(name)
    assert (cfg.SEARCH.ROUNDS, cfg.SEARCH.SAMPLES, cfg.SEARCH.PROXY.MAX_ITER) == (12, 32, 1000)
    assert (cfg.SEARCH.PPO.BASELINE, cfg.INPUT.MIN_SIZE_TRAIN) == ("mu", (64, 256))
    assert ("ignore" if "BF1" in cfg.SEARCH.METRIC else "zero") == cfg.SEARCH.ABSENT
    assert cfg.SEARCH.VOID_EDGES
    assert (cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.BASE_LR) == (32, 0.02)
    assert (cfg.INPUT.CROP.SIZE, cfg.MODEL.RESNETS.DEPTH) == ([128, 128], 50)


@pytest.mark.parametrize("name", [name for name in SEARCHES if "voc/search/" in name])
def test_searches_on_voc_score_as_released(name):
    cfg = load(name)
    assert (cfg.INPUT.MIN_SIZE_TEST, cfg.SEARCH.HOLDOUT.CROP) == (128, 128)
    assert cfg.TEST.DROP_BACKGROUND
    assert ("BIoU" in cfg.SEARCH.METRIC) == cfg.SEARCH.DROP_BACKGROUND


@pytest.mark.parametrize("name", NAMES)
def test_every_config_loads(name):
    assert load(name).OUTPUT_DIR


@pytest.mark.parametrize("name", RUNNABLE + FOLDERS)
def test_every_runnable_config_builds_a_model_for_its_data_sets(name):
    cfg = load(name)
    sets = (*cfg.DATASETS.TRAIN, *cfg.SEARCH.HOLDOUT.DATASETS, *cfg.DATASETS.TEST)
    assert cfg.DATASETS.TRAIN and cfg.DATASETS.TEST
    for data_set in sets:
        assert data_set in DatasetCatalog.list()
        classes = MetadataCatalog.get(data_set).stuff_classes
        assert len(classes) == cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES
    cfg.defrost()
    cfg.MODEL.DEVICE, cfg.MODEL.WEIGHTS = "meta", ""
    # Without what makes no network, so that equal ones are built once.
    cfg.SEARCH, cfg.STUDY, cfg.OUTPUT_DIR = CfgNode(), CfgNode(), ""
    cfg.MODEL.SEM_SEG_HEAD.LOSS_TYPE = "cross_entropy"
    cfg.MODEL.SEM_SEG_HEAD.LOSS_SPEC = ""
    _build(cfg.dump())


@pytest.mark.parametrize("name", SEARCHES)
def test_every_search_config_gives_a_space_and_an_agent(name):
    cfg = load(name)
    space = build_space(cfg)
    assert build_agent(cfg, space).mean.shape == (space.dim,)
    assert str(space.objective).lower() in name


@pytest.mark.parametrize("name", [n for n in RUNNABLE if Path(n).name.startswith("study-")])
def test_every_study_config_compares_losses_that_are_known_or_searched(name):
    cfg = load(name)
    assert cfg.STUDY.TARGET.lower() in name and len(cfg.STUDY.SEEDS) >= 3
    assert cfg.STUDY.LOSSES[0] == "cross_entropy"
    for loss in cfg.STUDY.LOSSES[1:]:
        assert (
            loss.endswith(("/identity_loss.json", "/searched_loss.json"))
            or load_spec(loss).name == loss
        )


def test_runnable_configs_write_to_different_places():
    outputs = [load(name).OUTPUT_DIR for name in RUNNABLE]
    assert len(set(outputs)) == len(outputs)


def test_the_defaults_of_the_search_are_the_released_ones():
    cfg = get_cfg()
    add_auto_seg_loss_config(cfg)
    ppo = cfg.SEARCH.PPO
    released = {"SIGMA": 0.2, "EPOCHS": 60, "LR": 0.2, "CLIP": 0.2}
    assert {key: ppo[key] for key in released} == released
    assert (ppo.RATIO, ppo.ADAM, ppo.BASELINE) == ("coordinate", "persistent", "mean")
    assert cfg.SEARCH.SAMPLES == 32


def values(cfg: CfgNode, prefix: str = "") -> dict[str, Any]:
    """Key -> value of all sections."""
    found: dict[str, Any] = {}
    for key, value in cfg.items():
        name = prefix + key
        found |= values(value, f"{name}.") if isinstance(value, CfgNode) else {name: value}
    return found


@pytest.mark.parametrize(
    "others", [(), (add_deeplab_config,), (add_deeplab_config, set_own), (set_own,)]
)
def test_adding_keys_changes_none_that_is_there(others):
    theirs, ours = get_cfg(), get_cfg()
    for add in others:
        add(theirs)
        add(ours)
    add_auto_seg_loss_config(ours)
    assert values(theirs).items() <= values(ours).items()


def test_the_order_with_deeplabs_keys_is_free():
    first, last, alone = get_cfg(), get_cfg(), get_cfg()
    for cfg, adders in (
        (first, (add_auto_seg_loss_config, add_deeplab_config)),
        (last, (add_deeplab_config, add_auto_seg_loss_config)),
        (alone, (add_auto_seg_loss_config,)),
    ):
        for add in adders:
            add(cfg)
    assert first == last == alone


def test_the_scripts_have_defaults_of_their_own():
    scripts, keys = values(project_defaults()), get_cfg()
    add_auto_seg_loss_config(keys)
    other = {name for name, value in values(keys).items() if value != scripts[name]}
    assert other == {"VIS_PERIOD", "MODEL.SEM_SEG_HEAD.LOSS_TYPE"}
    assert scripts["VIS_PERIOD"] == 100
    assert scripts["MODEL.SEM_SEG_HEAD.LOSS_TYPE"] == "cross_entropy"


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
    with pytest.raises(ConfigError, match=r"IMPORTS \['nowhere'\]: .*; is it on the PYTHONPATH"):
        load_config("", ["IMPORTS", "['nowhere']"])


@pytest.mark.parametrize("names", ["[3]", "['']", "['.near']", "[None]"])
def test_what_cannot_be_the_name_of_a_module_is_refused(names):
    with pytest.raises(ConfigError, match="IMPORTS must be names of modules, such as"):
        load_config("", ["IMPORTS", names])
