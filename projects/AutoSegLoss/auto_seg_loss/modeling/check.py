"""Whether a config's network can be built, before data is read or weights are fetched."""

from __future__ import annotations

import torch
from detectron2.config import CfgNode
from detectron2.modeling import (
    BACKBONE_REGISTRY,
    META_ARCH_REGISTRY,
    SEM_SEG_HEADS_REGISTRY,
    build_model,
)
from torch import nn


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
