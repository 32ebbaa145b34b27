"""Networks of a config, with losses that Detectron2's own DeepLab heads do not know."""

from __future__ import annotations

import torch
from detectron2 import modeling
from detectron2.config import CfgNode
from detectron2.projects.deeplab import DeepLabV3Head, DeepLabV3PlusHead
from torch import nn

from auto_seg_loss.config import changed
from auto_seg_loss.losses import SEM_SEG_LOSS_REGISTRY, build_loss
from auto_seg_loss.runtime.errors import ConfigError

LOSS_TYPE = "MODEL.SEM_SEG_HEAD.LOSS_TYPE"
# Detectron2's heads whose `loss` can be replaced, and their own loss types.
STOCK = (DeepLabV3PlusHead, DeepLabV3Head)
THEIRS = ("cross_entropy", "hard_pixel_mining")


def build_model(cfg: CfgNode) -> nn.Module:
    """The network of a config, with any loss even in Detectron2's own DeepLab heads.

    ``DeepLabV3PlusHead`` and ``DeepLabV3Head`` are built with cross entropy, and then get the loss
    that LOSS_TYPE names as their ``loss``. Their own loss types remain Detectron2's.
    ``ConfigError`` if the network cannot be built.
    """
    replaced = replaces_loss(cfg)
    try:
        own = changed(cfg, {LOSS_TYPE: THEIRS[0]}) if replaced else cfg
        model = modeling.build_model(own)
    except (AssertionError, LookupError, RuntimeError, TypeError, ValueError) as error:
        # Errors of Detectron2, timm and torch.
        reason = error.args[0] if error.args else type(error).__name__
        raise ConfigError(f"MODEL cannot be built: {reason}") from error
    if replaced:
        model.sem_seg_head.loss = build_loss(cfg).to(cfg.MODEL.DEVICE)
    return model


def replaces_loss(cfg: CfgNode) -> bool:
    """Whether the head is Detectron2's and does not know the loss.

    ``ValueError`` for one whose loss cannot be replaced, such as ``SemSegFPNHead``, which would
    train with cross entropy. Heads that are not Detectron2's set their own loss.
    """
    head = cfg.MODEL.SEM_SEG_HEAD
    if head.LOSS_TYPE in THEIRS or head.LOSS_TYPE not in SEM_SEG_LOSS_REGISTRY:
        return False
    if head.NAME not in modeling.SEM_SEG_HEADS_REGISTRY:
        return False  # building it raises the error
    head_class = modeling.SEM_SEG_HEADS_REGISTRY.get(head.NAME)
    if not head_class.__module__.startswith("detectron2."):
        return False
    if head_class not in STOCK:
        raise ValueError(
            f"MODEL.SEM_SEG_HEAD.NAME {head.NAME!r} cannot be trained with LOSS_TYPE "
            f"{head.LOSS_TYPE!r}; take a head of this project, such as AnyLossSemSegFPNHead."
        )
    return True


def network_on_meta(cfg: CfgNode) -> nn.Module:
    """The network of a config on the meta device: only names and shapes, no downloads."""
    keys = {LOSS_TYPE: THEIRS[0], "MODEL.DEVICE": "meta", "MODEL.TIMM.PRETRAINED": False}
    with torch.device("meta"):
        return build_model(changed(cfg, keys))
