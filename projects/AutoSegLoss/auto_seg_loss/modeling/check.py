"""Whether a config's network can be built and can score, before anything is trained or fetched."""

from __future__ import annotations

import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.modeling import (
    BACKBONE_REGISTRY,
    META_ARCH_REGISTRY,
    SEM_SEG_HEADS_REGISTRY,
    build_model,
)
from torch import nn

from auto_seg_loss.data import SemSegMapper
from auto_seg_loss.modeling.build import STOCK
from auto_seg_loss.quiet import quiet


def check_model(cfg: CfgNode) -> None:
    """Refuse a network that cannot be built with a ``ValueError``; the loss is not looked at.

    It is built on the device ``meta``: no memory is taken and nothing is computed or downloaded.
    """
    try:
        network_on_meta(cfg)
    except (AssertionError, LookupError, RuntimeError, TypeError) as error:
        # How Detectron2, timm and torch refuse.
        reason = str(error.args[0]) if error.args else type(error).__name__
        raise ValueError(f"MODEL cannot be built: {reason}{_known(reason)}") from error


def check_test_size(cfg: CfgNode) -> None:
    """Refuse a DeepLab head of Detectron2 that cannot score the first test image: ``ValueError``.

    Where INPUT.CROP is on, it pools over a window as large as the crop, in evaluations too.
    """
    head = cfg.MODEL.SEM_SEG_HEAD
    if not cfg.INPUT.CROP.ENABLED or SEM_SEG_HEADS_REGISTRY.get(head.NAME) not in STOCK:
        return
    first = DatasetCatalog.get(cfg.DATASETS.TEST[0])[0]
    with quiet(), torch.no_grad():
        model, image = network_on_meta(cfg).eval(), SemSegMapper(cfg, False)(first)
    try:
        with torch.no_grad():
            model([image])
    except ValueError as error:
        raise ValueError(
            f"MODEL.SEM_SEG_HEAD.NAME {head.NAME!r} pools over windows of INPUT.CROP.SIZE "
            f"{tuple(cfg.INPUT.CROP.SIZE)} and cannot score {first['file_name']}: {error} Take "
            "AnyLossDeepLabV3PlusHead, which loads the weights of DeepLabV3PlusHead, or set "
            "INPUT.CROP.ENABLED False."
        ) from None


def network_on_meta(cfg: CfgNode) -> nn.Module:
    """The network of a config without its values: names and shapes of its weights."""
    trial = cfg.clone()
    trial.defrost()
    trial.MODEL.DEVICE = "meta"
    trial.MODEL.TIMM.PRETRAINED = False
    trial.MODEL.SEM_SEG_HEAD.LOSS_TYPE = "cross_entropy"
    with torch.device("meta"):
        model: nn.Module = build_model(trial)
    return model


def _known(reason: str) -> str:
    """What a name that a registry lacks could have been."""
    for registry in (META_ARCH_REGISTRY, BACKBONE_REGISTRY, SEM_SEG_HEADS_REGISTRY):
        if reason.endswith(f"in '{registry._name}' registry!"):
            return f" Known: {', '.join(sorted(name for name, _ in registry))}."
    return ""
