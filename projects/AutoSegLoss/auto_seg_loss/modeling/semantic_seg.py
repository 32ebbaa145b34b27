"""Detectron2's heads with an injected loss: DeepLabV3+, DeepLabV3 and Semantic FPN.

N: images; C: classes; h, w: pixels of a head's logits.

ASPP's image pooling here is global, as in the DeepLabV3 paper: Detectron2's heads pool over a
window as large as the training crop, and then refuse test images that are not a multiple of it.
The parameters are the same, so weights of either head load into the other.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from detectron2.layers import ASPP, ShapeSpec
from detectron2.modeling import SEM_SEG_HEADS_REGISTRY
from detectron2.modeling.meta_arch.semantic_seg import SemSegFPNHead
from detectron2.projects.deeplab.semantic_seg import DeepLabV3PlusHead
from torch import Tensor, nn

from auto_seg_loss.modeling.any_loss import (
    AnyLoss,
    Head,
    head_keywords,
    only_feature,
    training_keywords,
)
from auto_seg_loss.modeling.auxiliary import AuxiliaryHead
from auto_seg_loss.modeling.blocks import predictor


@SEM_SEG_HEADS_REGISTRY.register()
class AnyLossDeepLabV3PlusHead(AnyLoss, DeepLabV3PlusHead):
    """Detectron2's DeepLabV3PlusHead for any loss."""

    @configurable
    def __init__(
        self,
        input_shape: dict[str, ShapeSpec],
        *,
        loss: nn.Module,
        auxiliary: AuxiliaryHead | None = None,
        **head: Any,
    ) -> None:
        """``head``: keywords of ``DeepLabV3PlusHead`` but for ``loss_type`` and ``train_size``."""
        super().__init__(input_shape, train_size=None, loss_type="cross_entropy", **head)
        self.train_with(loss, auxiliary)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        """Map config keys to the keywords of ``__init__``."""
        keywords = super().from_config(cfg, input_shape)
        del keywords["loss_type"], keywords["train_size"]
        return {**keywords, **training_keywords(cfg, input_shape)}


@SEM_SEG_HEADS_REGISTRY.register()
class AnyLossDeepLabV3Head(Head):
    """DeepLabV3's head for any loss: ASPP and a classifier.

    Not a child of Detectron2's DeepLabV3Head, whose constructor takes nothing but a config; the
    weights are named as there.
    """

    @configurable
    def __init__(
        self,
        input_shape: dict[str, ShapeSpec],
        *,
        num_classes: int,
        norm: str,
        aspp_channels: int,
        aspp_dilations: list[int],
        aspp_dropout: float,
        use_depthwise_separable_conv: bool,
        **training: Any,
    ) -> None:
        """``input_shape``: of one feature. ``training``: keywords of ``Head``; ``aspp_...`` and
        ``use_depthwise_separable_conv``: of Detectron2's ``ASPP``."""
        super().__init__(**training)
        self.in_feature, shape = only_feature(input_shape)
        self.aspp = ASPP(
            shape.channels,
            aspp_channels,
            aspp_dilations,
            norm=norm,
            activation=F.relu,
            dropout=aspp_dropout,
            use_depthwise_separable_conv=use_depthwise_separable_conv,
        )
        self.predictor = predictor(aspp_channels, num_classes)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        """Map config keys to the keywords of ``__init__``."""
        head = cfg.MODEL.SEM_SEG_HEAD
        return {
            **head_keywords(cfg, input_shape),
            "aspp_channels": head.ASPP_CHANNELS,
            "aspp_dilations": head.ASPP_DILATIONS,
            "aspp_dropout": head.ASPP_DROPOUT,
            "use_depthwise_separable_conv": head.USE_DEPTHWISE_SEPARABLE_CONV,
        }

    def layers(self, features: dict[str, Tensor]) -> Tensor:
        """Features of the backbone -> logits (N, C, h, w)."""
        return self.predictor(self.aspp(features[self.in_feature]))


@SEM_SEG_HEADS_REGISTRY.register()
class AnyLossSemSegFPNHead(AnyLoss, SemSegFPNHead):
    """Detectron2's SemSegFPNHead (Semantic FPN) for any loss."""

    @configurable
    def __init__(
        self,
        input_shape: dict[str, ShapeSpec],
        *,
        loss: nn.Module,
        auxiliary: AuxiliaryHead | None = None,
        **head: Any,
    ) -> None:
        """``head``: keywords of ``SemSegFPNHead``."""
        super().__init__(input_shape, **head)
        self.train_with(loss, auxiliary)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        """Map config keys to the keywords of ``__init__``."""
        keywords = super().from_config(cfg, input_shape)
        return {**keywords, **training_keywords(cfg, input_shape)}
