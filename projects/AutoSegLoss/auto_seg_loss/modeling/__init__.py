"""Heads and backbones; importing registers them with Detectron2."""

from auto_seg_loss.features.network import FrozenFeatures
from auto_seg_loss.modeling.any_loss import AnyLoss, Head
from auto_seg_loss.modeling.build import build_model
from auto_seg_loss.modeling.fcn import AnyLossFCNHead
from auto_seg_loss.modeling.pspnet import AnyLossPSPHead
from auto_seg_loss.modeling.semantic_seg import (
    AnyLossDeepLabV3Head,
    AnyLossDeepLabV3PlusHead,
    AnyLossSemSegFPNHead,
)
from auto_seg_loss.modeling.small_resnet import (
    build_small_resnet_backbone,
    build_small_resnet_fpn_backbone,
)
from auto_seg_loss.modeling.timm_backbone import TimmBackbone, build_timm_backbone

__all__ = [
    "AnyLoss",
    "AnyLossDeepLabV3Head",
    "AnyLossDeepLabV3PlusHead",
    "AnyLossFCNHead",
    "AnyLossPSPHead",
    "AnyLossSemSegFPNHead",
    "FrozenFeatures",
    "Head",
    "TimmBackbone",
    "build_model",
    "build_small_resnet_backbone",
    "build_small_resnet_fpn_backbone",
    "build_timm_backbone",
]
