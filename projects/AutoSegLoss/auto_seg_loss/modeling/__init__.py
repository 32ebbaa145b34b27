"""Heads and backbones; importing registers them with Detectron2."""

from auto_seg_loss.modeling.semantic_seg import AnyLossDeepLabV3PlusHead
from auto_seg_loss.modeling.small_resnet import build_small_resnet_backbone

__all__ = ["AnyLossDeepLabV3PlusHead", "build_small_resnet_backbone"]
