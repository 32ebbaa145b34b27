"""The YAML files: each loads, networks build, and the tables of README.md hold."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.layers import FrozenBatchNorm2d
from detectron2.modeling import build_model
from torch import nn

from auto_seg_loss.losses import build_loss
from auto_seg_loss.runtime.configs import load_config
from auto_seg_loss.search import build_agent
from auto_seg_loss.search_setup import build_space
from auto_seg_loss.study.matrix import check_study, read_study
from autoseg_core import LossSpec, search_space
from autoseg_core.zoo import zoo_names

ROOT = Path(__file__).parents[3]
CONFIGS = ROOT / "projects" / "AutoSegLoss" / "configs"
NAMES = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml"))
PIECES = {f"Base-{piece}.yaml" for piece in ("D8", "R101", "R101-FPN", "Retrain", "Search")}
"""Files to be listed after a network's: they make no network alone."""
RUNNABLE = [name for name in NAMES if not Path(name).name.startswith("Base-")]
HEAD = "MODEL.SEM_SEG_HEAD."
SPEC = (HEAD + "LOSS_TYPE", "auto_seg_loss", HEAD + "LOSS_SPEC")


def load(name: str, *options: str) -> CfgNode:
    # Weights that a network takes from elsewhere are left where they are.
    offline = ("MODEL.DEVICE", "cpu", "MODEL.TIMM.PRETRAINED", "False")
    return load_config(str(CONFIGS / name), [*offline, *options])


@functools.cache
def on_meta(network: str) -> nn.Module:
    """The network of a dumped config; equal ones are built once."""
    with torch.device("meta"):
        return build_model(CfgNode.load_cfg(network))


def network_of(cfg: CfgNode) -> nn.Module:
    cfg = cfg.clone()
    cfg.MODEL.DEVICE, cfg.MODEL.WEIGHTS, cfg.OUTPUT_DIR = "meta", "", ""
    cfg.SEARCH, cfg.STUDY, cfg.SOLVER = CfgNode(), CfgNode(), CfgNode()
    return on_meta(cfg.dump())


@pytest.mark.parametrize("name", NAMES)
def test_every_config_loads_and_its_network_builds_for_its_classes(name: str) -> None:
    cfg = load(name)
    if name not in PIECES:
        model = network_of(cfg)
        assert not any(isinstance(module, FrozenBatchNorm2d) for module in model.modules())
    for data_set in (*cfg.DATASETS.TRAIN, *cfg.SEARCH.HOLDOUT.DATASETS, *cfg.DATASETS.TEST):
        assert data_set in DatasetCatalog.list()
        classes = MetadataCatalog.get(data_set).stuff_classes
        assert len(classes) == cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES


def test_runnable_configs_write_to_different_places() -> None:
    assert len({load(name).OUTPUT_DIR for name in RUNNABLE}) == len(RUNNABLE)


NETWORKS = {
    "Base-DeepLabV3Plus": "Base-R101",
    "Base-DeepLabV3": "Base-R101",
    "Base-PSPNet": "Base-R101",
    "Base-SemanticFPN": "Base-R101-FPN",
    "Base-HRNetV2-W48": None,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_goes_with_the_papers_schedule(name: str, tmp_path: Path) -> None:
    if name == "Base-HRNetV2-W48":
        pytest.importorskip("timm", reason="needs timm: extra [baselines]")
    pieces = [piece for piece in (name, NETWORKS[name], "Base-Retrain") if piece]
    path = tmp_path / "retrain.yaml"
    path.write_text(f"_BASE_: {[str(CONFIGS / f'{piece}.yaml') for piece in pieces]}\n")
    cfg = load(str(path))
    assert cfg.SOLVER.WEIGHT_DECAY == 0.0005 and cfg.MODEL.AUX_HEAD.ENABLED
    model = network_of(cfg)
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert len(norms) > 50 and all(isinstance(norm, nn.SyncBatchNorm) for norm in norms)
    # Millions of weights of a ResNet-101, or W48, and its heads.
    assert 45 < sum(weight.numel() for weight in model.parameters()) / 1e6 < 80
    assert cfg.INPUT.FORMAT == "RGB" and cfg.MODEL.PIXEL_MEAN[0] == 123.675


README = (CONFIGS / "README.md").read_text("utf-8")
ROWS = [line.split("|") for line in README.splitlines() if "| `SEARCH.METRIC" in line]
COLUMNS = {"voc": (2, 5), "cityscapes": (2, 4), "camvid": (2, 3)}
"""Columns of the table of metrics that hold for a data set."""


def searches(folder: str) -> list[list[str]]:
    """KEY VALUE pairs of each search on a data set; none for mIoU."""
    cells = ["|".join(row[slice(*COLUMNS[folder])]) for row in ROWS]
    return [[], *(" ".join(re.findall("`(.*?)`", cell)).split() for cell in cells)]


SEARCHES = [(folder, pairs) for folder in COLUMNS for pairs in searches(folder)]


def test_there_is_a_search_for_each_metric_of_the_paper() -> None:
    metrics = [pairs[1] for pairs in searches("camvid") if pairs]
    assert metrics == ["FWIoU", "mAcc", "gAcc", "BIoU", "BF1", "mIoU+BIoU", "mIoU+BF1"]


@pytest.mark.parametrize(("folder", "pairs"), SEARCHES)
def test_every_search_gives_a_space_and_an_agent(folder: str, pairs: list[str]) -> None:
    cfg = load(f"{folder}/search-miou.yaml", *pairs)
    space = build_space(cfg)
    assert str(space.objective) == cfg.SEARCH.METRIC
    assert build_agent(cfg, space).mean.shape == (space.dim,)
    if folder == "voc":
        assert ("BIoU" in cfg.SEARCH.METRIC) == cfg.SEARCH.DROP_BACKGROUND
    if folder in ("voc", "cityscapes"):
        assert ("ignore" if "BF1" in cfg.SEARCH.METRIC else "zero") == cfg.SEARCH.ABSENT


@pytest.mark.parametrize("folder", ["voc", "cityscapes"])
def test_large_searches_and_trainings_have_the_released_settings(folder: str) -> None:
    cfg = load(f"{folder}/search-miou.yaml")
    assert (cfg.SEARCH.ROUNDS, cfg.SEARCH.SAMPLES, cfg.SEARCH.PROXY.MAX_ITER) == (12, 32, 1000)
    assert (cfg.SEARCH.PPO.BASELINE, cfg.SEARCH.VOID_EDGES) == ("mu", True)
    assert (cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.CROP.SIZE) == ((64, 256), [128, 128])
    if folder == "voc":
        assert (cfg.INPUT.MIN_SIZE_TEST, cfg.SEARCH.HOLDOUT.CROP) == (128, 128)
        assert cfg.TEST.DROP_BACKGROUND
    train = load(f"{folder}/train-ce.yaml")
    assert (train.SOLVER.MAX_ITER, train.SOLVER.HEAD_LR_FACTOR) == (10000, 10)
    assert (cfg.MODEL.RESNETS.DEPTH, train.MODEL.RESNETS.DEPTH) == (50, 101)
    assert train.INPUT.CROP.SIZE == [512, 512]
    for solver in (cfg.SOLVER, train.SOLVER):
        assert (solver.IMS_PER_BATCH, solver.BASE_LR) == (32, 0.02)


def test_every_published_loss_has_a_row_and_trains_by_key_value_pairs() -> None:
    published = {name for name in zoo_names() if name.startswith("voc-")}
    table = README[README.index("## Published numbers") :]
    assert published <= set(re.findall("`(voc-[a-z0-9-]+)`", table))
    for name in published:
        build_loss(load("voc/train-ce.yaml", *SPEC, name))


STUDIES = [name for name in RUNNABLE if "study" in name]
TINY = {  # shapes instead of data that are not here, and no start
    "DATASETS.TRAIN": "('shapes_sem_seg_train',)",
    "DATASETS.TEST": "('shapes_sem_seg_test',)",
    "MODEL.SEM_SEG_HEAD.NUM_CLASSES": "7",
    "MODEL.WEIGHTS": "",
    "MODEL.TIMM.PRETRAINED": "False",
    "MODEL.DEVICE": "cpu",
    "STUDY.CANDIDATES": "3",
}


@pytest.fixture
def place(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like the repository's after all searches of the studies."""
    for folder in ("docs", "projects"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    space = search_space("mIoU")
    for loss in {loss for name in STUDIES for loss in load(name).STUDY.LOSSES}:
        if loss.startswith("output/"):
            path = tmp_path / loss
            path.parent.mkdir(parents=True, exist_ok=True)
            title = "-".join(path.with_suffix("").parts[-2:])
            LossSpec.from_theta(title, space, space.identity(), tolerance=1).save(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_passes_its_checks(place: Path, name: str) -> None:
    """Everything but the trainings, which test_study_net.py runs."""
    study = read_study(str(CONFIGS / name), [word for pair in TINY.items() for word in pair])
    check_study(study)
    seeds = study.config.STUDY.SEEDS
    assert study.config.STUDY.LOSSES[0] == "cross_entropy" and len(seeds) >= 3
    cells = len(study.settings) * len(study.losses) * len(seeds)
    assert len({cell.config.OUTPUT_DIR for cell in study.cells}) == len(study.cells) == cells


def test_the_data_sets_of_the_paper_are_scored_as_their_own_configs_say() -> None:
    """Nothing of one leaks into the other, whichever the study is based on."""
    study = read_study(str(CONFIGS / "study" / "voc-to-cityscapes.yaml"), [])
    for setting, folder in zip(study.settings, ("voc", "cityscapes"), strict=True):
        own = load_config(str(CONFIGS / folder / "train-ce.yaml"), [])
        own.STUDY, own.OUTPUT_DIR = setting.config.STUDY, setting.config.OUTPUT_DIR
        assert own.dump() == setting.config.dump()


def test_the_networks_of_the_paper_share_data_and_schedule() -> None:
    study = read_study(str(CONFIGS / "study" / "deeplab-to-pspnet-hrnet.yaml"), [])
    configs = [setting.config for setting in study.settings]
    heads = [cfg.MODEL.SEM_SEG_HEAD.NAME for cfg in configs]
    assert heads == ["AnyLossDeepLabV3PlusHead", "AnyLossPSPHead", "AnyLossFCNHead"]
    assert [cfg.MODEL.WEIGHTS for cfg in configs[1:]] == ["detectron2://DeepLab/R-103.pkl", ""]
    for node in ("SOLVER", "DATASETS", "TEST"):
        assert len({str(cfg[node]) for cfg in configs}) == 1
