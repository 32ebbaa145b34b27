"""Detectron2's heads with an injected loss: DeepLabV3+, DeepLabV3 and Semantic FPN.

N: images; C: classes; h, w: pixels of a head's logits.

ASPP's image pooling here is global, as in the DeepLabV3 paper: Detectron2's heads pool over a
window as large as the training crop, and then refuse test images that are not a multiple of it.
The parameters are the same, so weights of either head load into the other.
"""

from __future__ import annotations

from detectron2.config import CfgNode
from detectron2.modeling import SEM_SEG_HEADS_REGISTRY
from detectron2.modeling.meta_arch.semantic_seg import SemSegFPNHead
from detectron2.projects.deeplab.semantic_seg import DeepLabV3Head, DeepLabV3PlusHead
from torch import Tensor, nn

from auto_seg_loss.config import changed
from auto_seg_loss.modeling.any_loss import AnyLoss, Features, Shapes, training_keywords


class Detectron2Head(AnyLoss):
    """Mixin: list it before the Detectron2 head that is to be trained with any loss."""

    def __init__(self, cfg: CfgNode, input_shape: Shapes) -> None:
        training = training_keywords(cfg, input_shape)
        # With crops, ASPP would pool over windows of their size.
        theirs = {"MODEL.SEM_SEG_HEAD.LOSS_TYPE": "cross_entropy", "INPUT.CROP.ENABLED": False}
        super().__init__(changed(cfg, theirs), input_shape)
        self.train_with(**training)


@SEM_SEG_HEADS_REGISTRY.register()
class AnyLossDeepLabV3PlusHead(Detectron2Head, DeepLabV3PlusHead):
    """Detectron2's DeepLabV3PlusHead for any loss."""


@SEM_SEG_HEADS_REGISTRY.register()
class AnyLossSemSegFPNHead(Detectron2Head, SemSegFPNHead):
    """Detectron2's SemSegFPNHead (Semantic FPN) for any loss."""


@SEM_SEG_HEADS_REGISTRY.register()
class AnyLossDeepLabV3Head(Detectron2Head, DeepLabV3Head):
    """Detectron2's DeepLabV3Head for any loss: ASPP and a classifier."""

    in_features: list[str]
    aspp: nn.Module
    predictor: nn.Module

    def __init__(self, cfg: CfgNode, input_shape: Shapes) -> None:
        # The classifier comes right after ASPP; Detectron2 requires two keys to agree.
        channels = cfg.MODEL.SEM_SEG_HEAD.ASPP_CHANNELS
        super().__init__(changed(cfg, {"MODEL.SEM_SEG_HEAD.CONVS_DIM": channels}), input_shape)

    def layers(self, features: Features) -> Tensor:
        """Features of the backbone -> logits (N, C, h, w)."""
        return self.predictor(self.aspp(features[self.in_features[0]]))
