"""Networks of a config, whose loss Detectron2's own DeepLab heads need not know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from detectron2 import modeling
from detectron2.config import CfgNode
from torch import nn

from auto_seg_loss.losses import SEM_SEG_LOSS_REGISTRY, build_loss

# What MODEL.SEM_SEG_HEAD.LOSS_TYPE may be in Detectron2 itself.
THEIRS = ("cross_entropy", "hard_pixel_mining")


def build_model(cfg: CfgNode, build: Callable[[CfgNode], Any] = modeling.build_model) -> nn.Module:
    """The network of ``build``, with any loss also in Detectron2's own heads.

    ``DeepLabV3PlusHead`` and ``DeepLabV3Head`` are built with cross entropy, and then get the loss
    that LOSS_TYPE names as their ``loss``. Their own loss types stay Detectron2's, and heads that
    are not Detectron2's see to their loss themselves. ``ValueError`` for a head of Detectron2 that
    has no loss to replace, such as ``SemSegFPNHead``, which would train with cross entropy.
    """
    head = cfg.MODEL.SEM_SEG_HEAD
    known = head.LOSS_TYPE in THEIRS or head.LOSS_TYPE not in SEM_SEG_LOSS_REGISTRY
    head_class = modeling.SEM_SEG_HEADS_REGISTRY.get(head.NAME)
    if known or not head_class.__module__.startswith("detectron2."):
        return build(cfg)
    stock = cfg.clone()
    stock.defrost()
    stock.MODEL.SEM_SEG_HEAD.LOSS_TYPE = THEIRS[0]
    model = build(stock)
    if not isinstance(getattr(model.sem_seg_head, "loss", None), nn.Module):
        raise ValueError(
            f"MODEL.SEM_SEG_HEAD.NAME {head.NAME!r} cannot be trained with LOSS_TYPE "
            f"{head.LOSS_TYPE!r}: it has no `loss` to replace; take a head of this project, "
            "AnyLossSemSegFPNHead for example."
        )
    model.sem_seg_head.loss = build_loss(cfg).to(cfg.MODEL.DEVICE)
    return model
