"""The registry in which a configured loss name meets its module.

Every loss is a module ``loss(logits (N, C, H, W) float, target (N, H, W) int64) -> scalar``.
"""

from __future__ import annotations

from detectron2.config import CfgNode
from detectron2.projects.deeplab.loss import DeepLabCE
from fvcore.common.registry import Registry
from torch import nn

from autoseg_core import load_loss

SEM_SEG_LOSS_REGISTRY = Registry("SEM_SEG_LOSS")
SEM_SEG_LOSS_REGISTRY.__doc__ = """
Losses for semantic heads: functions of a config that return a module. Register your own with
``@SEM_SEG_LOSS_REGISTRY.register()`` and name it in MODEL.SEM_SEG_HEAD.LOSS_TYPE.
"""


@SEM_SEG_LOSS_REGISTRY.register()
def cross_entropy(cfg: CfgNode) -> nn.Module:
    """Mean cross entropy over valid pixels."""
    return nn.CrossEntropyLoss(ignore_index=cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE)


@SEM_SEG_LOSS_REGISTRY.register()
def hard_pixel_mining(cfg: CfgNode) -> nn.Module:
    """Cross entropy over the hardest fifth of the pixels, as in Detectron2's DeepLab."""
    return DeepLabCE(ignore_label=cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE, top_k_percent_pixels=0.2)


@SEM_SEG_LOSS_REGISTRY.register()
def auto_seg_loss(cfg: CfgNode) -> nn.Module:
    """The searched loss named by MODEL.SEM_SEG_HEAD.LOSS_SPEC."""
    head = cfg.MODEL.SEM_SEG_HEAD
    if not head.LOSS_SPEC:
        raise ValueError(
            'MODEL.SEM_SEG_HEAD.LOSS_TYPE "auto_seg_loss" needs MODEL.SEM_SEG_HEAD.LOSS_SPEC: '
            "a name of the zoo or the path of a .json file."
        )
    return load_loss(
        head.LOSS_SPEC,
        ignore_index=head.IGNORE_VALUE,
        sync=head.LOSS_SYNC,
        backend=head.LOSS_BACKEND,
    )


def loss_names() -> list[str]:
    """Names that MODEL.SEM_SEG_HEAD.LOSS_TYPE may take, sorted."""
    return sorted(name for name, _ in SEM_SEG_LOSS_REGISTRY)


def build_loss(cfg: CfgNode) -> nn.Module:
    """Build the loss a config names; ``ValueError`` lists the known names."""
    name = cfg.MODEL.SEM_SEG_HEAD.LOSS_TYPE
    if name not in SEM_SEG_LOSS_REGISTRY:
        known = ", ".join(loss_names())
        raise ValueError(f"Unknown MODEL.SEM_SEG_HEAD.LOSS_TYPE {name!r}; known losses: {known}.")
    return SEM_SEG_LOSS_REGISTRY.get(name)(cfg)
