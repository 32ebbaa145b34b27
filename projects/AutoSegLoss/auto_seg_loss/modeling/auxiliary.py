"""The auxiliary head of the released training: a second, shallow prediction that is trained too.

N: images; C: classes; h, w: pixels of the feature it looks at.
"""

from __future__ import annotations

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from torch import Tensor, nn

from auto_seg_loss.modeling.blocks import fully_convolutional, shape_of


class AuxiliaryHead(nn.Module):
    """A fully convolutional head of one hidden 3x3 convolution on one feature, as MODEL.AUX_HEAD
    says; ``shapes`` are those of all features.

    It holds no loss: the head it belongs to applies its own. Evaluation does without it.
    """

    def __init__(self, cfg: CfgNode, shapes: dict[str, ShapeSpec]) -> None:
        super().__init__()
        settings, head = cfg.MODEL.AUX_HEAD, cfg.MODEL.SEM_SEG_HEAD
        shape = shape_of(shapes, settings.IN_FEATURE, "MODEL.AUX_HEAD.IN_FEATURE")
        self.in_feature, self.stride = settings.IN_FEATURE, int(shape.stride)
        self.loss_weight = settings.LOSS_WEIGHT
        self.classifier = fully_convolutional(
            shape.channels,
            settings.CONVS_DIM,
            head.NUM_CLASSES,
            kernel_size=3,
            norm=head.NORM,
            dropout=head.DROPOUT,
        )

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        """Features of the backbone -> logits (N, C, h, w)."""
        return self.classifier(features[self.in_feature])


def build_auxiliary(cfg: CfgNode, shapes: dict[str, ShapeSpec]) -> AuxiliaryHead | None:
    """The head of MODEL.AUX_HEAD, None when it is off."""
    return AuxiliaryHead(cfg, shapes) if cfg.MODEL.AUX_HEAD.ENABLED else None
