"""Heads and backbones; importing registers them with Detectron2."""

from auto_seg_loss.features import network  # noqa: F401
from auto_seg_loss.modeling import (  # noqa: F401
    fcn,
    pspnet,
    semantic_seg,
    small_resnet,
    timm_backbone,
)
from auto_seg_loss.modeling.build import build_model

__all__ = ["build_model"]
