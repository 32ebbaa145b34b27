"""Detectron2's heads with an injected loss: DeepLabV3+, DeepLabV3 and Semantic FPN.

N: images; C: classes; h, w: pixels of a head's logits.

ASPP's image pooling here is global, as in the DeepLabV3 paper: Detectron2's heads pool over a
window as large as the training crop, and then refuse test images that are not a multiple of it.
The parameters are the same, so weights of either head load into the other.
"""

from __future__ import annotations

from typing import Any

from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import SEM_SEG_HEADS_REGISTRY
from detectron2.modeling.meta_arch.semantic_seg import SemSegFPNHead
from detectron2.projects.deeplab.semantic_seg import DeepLabV3Head, DeepLabV3PlusHead
from torch import Tensor, nn

from auto_seg_loss.modeling.any_loss import AnyLoss, training_keywords
from auto_seg_loss.modeling.auxiliary import AuxiliaryHead
from auto_seg_loss.modeling.build import with_loss


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
class AnyLossDeepLabV3Head(AnyLoss, DeepLabV3Head):
    """Detectron2's DeepLabV3Head for any loss: ASPP and a classifier."""

    in_features: list[str]
    aspp: nn.Module
    predictor: nn.Module

    def __init__(self, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> None:
        training = training_keywords(cfg, input_shape)
        theirs = with_loss(cfg, "cross_entropy")
        theirs.INPUT.CROP.ENABLED = False  # else ASPP pools over windows of the crop
        # The classifier comes right after ASPP; Detectron2 wants two keys to agree.
        theirs.MODEL.SEM_SEG_HEAD.CONVS_DIM = cfg.MODEL.SEM_SEG_HEAD.ASPP_CHANNELS
        super().__init__(theirs, input_shape)
        self.train_with(**training)

    def layers(self, features: dict[str, Tensor]) -> Tensor:
        """Features of the backbone -> logits (N, C, h, w)."""
        logits: Tensor = self.predictor(self.aspp(features[self.in_features[0]]))
        return logits


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
