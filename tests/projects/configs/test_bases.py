"""configs/Base-*.yaml: every network builds, alone and with the pieces; the small ones train."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import pytest
import torch
from detectron2.layers import FrozenBatchNorm2d
from detectron2.modeling import build_model
from detectron2.utils.env import seed_all_rng
from torch import nn

from auto_seg_loss.losses import loss_names
from auto_seg_loss.modeling.check import check_model
from auto_seg_loss.preflight import load_config
from auto_seg_loss.trainer import build_lr_scheduler, build_optimizer, build_train_loader

CONFIGS = Path(__file__).parents[3] / "projects" / "AutoSegLoss" / "configs"
BASELINES = pytest.mark.skipif(
    find_spec("segmentation_models_pytorch") is None or find_spec("timm") is None,
    reason="needs segmentation_models_pytorch and timm: extra [baselines]",
)
EXTRA = {"Base-HRNetV2-W48", "Base-Shapes-HRNet", "focal", "dice", "jaccard", "lovasz"}
NETWORKS = ["DeepLabV3Plus", "DeepLabV3", "PSPNet", "SemanticFPN", "HRNetV2-W48"]
PIECES = {
    "Base-DeepLabV3Plus": "Base-R101",
    "Base-DeepLabV3": "Base-R101",
    "Base-PSPNet": "Base-R101",
    "Base-SemanticFPN": "Base-R101-FPN",
    "Base-HRNetV2-W48": None,
}
TWINS = ["", "-DeepLabV3", "-PSPNet", "-SemanticFPN", "-HRNet"]
HEAD = "MODEL.SEM_SEG_HEAD."
SETTINGS = {
    "weighted_cross_entropy": (HEAD + "LOSS_CLASS_WEIGHTS", [1.0, 2, 3, 4, 5, 6, 7]),
    "auto_seg_loss": (HEAD + "LOSS_SPEC", "voc-miou-bezier"),
}


def named(names):
    """Parameters; those that need an extra are skipped, with a reason, where it is missing."""
    return [pytest.param(n, marks=BASELINES if n in EXTRA else ()) for n in names]


def on_meta(cfg) -> nn.Module:
    cfg.MODEL.DEVICE = "meta"
    with torch.device("meta"):
        return build_model(cfg)


def millions(model: nn.Module) -> float:
    return sum(parameter.numel() for parameter in model.parameters()) / 1e6


@pytest.mark.parametrize("name", named(f"Base-{network}" for network in NETWORKS))
def test_every_network_builds(name):
    cfg = load_config(str(CONFIGS / f"{name}.yaml"), ["MODEL.AUX_HEAD.ENABLED", "True"])
    check_model(cfg)
    model = on_meta(cfg)
    shapes = model.backbone.output_shape()
    assert cfg.MODEL.AUX_HEAD.IN_FEATURE in shapes
    assert min(shapes[f].stride for f in cfg.MODEL.SEM_SEG_HEAD.IN_FEATURES) == (
        model.sem_seg_head.common_stride
    )
    assert not any(isinstance(module, FrozenBatchNorm2d) for module in model.modules())


@pytest.mark.parametrize("name", named(PIECES))
def test_every_network_goes_with_the_papers_schedule(name, tmp_path):
    pieces = [piece for piece in (name, PIECES[name], "Base-Retrain") if piece]
    path = tmp_path / "retrain.yaml"
    path.write_text(f"_BASE_: {[str(CONFIGS / f'{piece}.yaml') for piece in pieces]}\n")
    cfg = load_config(str(path), ["MODEL.TIMM.PRETRAINED", "False"])
    solver = cfg.SOLVER
    assert (solver.IMS_PER_BATCH, solver.MAX_ITER, solver.BASE_LR) == (32, 10000, 0.02)
    assert (solver.HEAD_LR_FACTOR, solver.WEIGHT_DECAY) == (10.0, 0.0005)
    assert cfg.INPUT.CROP.SIZE == [512, 512] and cfg.MODEL.AUX_HEAD.ENABLED
    model = on_meta(cfg)
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert len(norms) > 50 and all(isinstance(norm, nn.SyncBatchNorm) for norm in norms)
    assert 45 < millions(model) < 80  # of ResNet-101, or W48, and its heads
    assert cfg.INPUT.FORMAT == "RGB" and cfg.MODEL.PIXEL_MEAN[0] == 123.675


def step(cfg) -> dict[str, float]:
    """Losses of one iteration; every weight is checked to stay finite, and some to move."""
    seed_all_rng(0)
    model = build_model(cfg).train()
    optimizer = build_optimizer(cfg, model)
    build_lr_scheduler(cfg, optimizer)
    before = nn.utils.parameters_to_vector(model.parameters()).clone()
    (batch,) = islice(build_train_loader(cfg), 1)
    losses = model(batch)
    sum(losses.values()).backward()
    optimizer.step()
    after = nn.utils.parameters_to_vector(model.parameters())
    assert after.isfinite().all() and not torch.equal(before, after)
    return {name: float(loss.detach()) for name, loss in losses.items()}


@pytest.mark.parametrize("name", named(f"Base-Shapes{twin}" for twin in TWINS))
def test_every_small_network_trains_on_shapes(shapes, name):
    options = [HEAD + "LOSS_TYPE", "auto_seg_loss", HEAD + "LOSS_SPEC", "voc-miou-bezier"]
    options += ["SOLVER.IMS_PER_BATCH", "2", "INPUT.CROP.SIZE", "[32,32]"]
    options += ["MODEL.AUX_HEAD.ENABLED", "True", "MODEL.AUX_HEAD.CONVS_DIM", "32"]
    losses = step(load_config(str(CONFIGS / "shapes" / f"{name}.yaml"), options))
    assert 0 < losses["loss_sem_seg"] <= 1 and 0 < losses["loss_sem_seg_aux"] <= 0.4


@pytest.mark.parametrize("name", named(loss_names()))
def test_every_loss_trains_the_small_deeplab(shapes, make_cfg, name):
    cfg = make_cfg(HEAD + "LOSS_TYPE", name, *SETTINGS.get(name, ()))
    assert step(cfg)["loss_sem_seg"] > 0
