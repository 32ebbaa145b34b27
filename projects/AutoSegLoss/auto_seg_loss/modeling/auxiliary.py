"""The auxiliary head of the released training: a second, shallow prediction that is trained too.

N: images; C: classes; h, w: pixels of the feature it looks at.
"""

from __future__ import annotations

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from torch import Tensor, nn

from auto_seg_loss.modeling.blocks import fully_convolutional, shape_of


class AuxiliaryHead(nn.Module):
    """A fully convolutional head of one hidden 3x3 convolution on one feature.

    It holds no loss: the head it belongs to applies its own. Evaluation does without it.

    in_feature: name of the feature, and input_shape, its shape. channels: of the hidden layer.
    loss_weight: factor of its loss, 0.4 in the released training.
    """

    def __init__(
        self,
        in_feature: str,
        input_shape: ShapeSpec,
        *,
        channels: int,
        num_classes: int,
        norm: str,
        dropout: float,
        loss_weight: float,
    ) -> None:
        super().__init__()
        self.in_feature, self.stride = in_feature, int(input_shape.stride)
        self.loss_weight = loss_weight
        self.classifier = fully_convolutional(
            input_shape.channels, channels, num_classes, kernel_size=3, norm=norm, dropout=dropout
        )

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        """Features of the backbone -> logits (N, C, h, w)."""
        return self.classifier(features[self.in_feature])


def build_auxiliary(cfg: CfgNode, shapes: dict[str, ShapeSpec]) -> AuxiliaryHead | None:
    """The head of MODEL.AUX_HEAD, None when it is off; ``shapes`` are those of all features."""
    auxiliary, head = cfg.MODEL.AUX_HEAD, cfg.MODEL.SEM_SEG_HEAD
    if not auxiliary.ENABLED:
        return None
    return AuxiliaryHead(
        auxiliary.IN_FEATURE,
        shape_of(shapes, auxiliary.IN_FEATURE, "MODEL.AUX_HEAD.IN_FEATURE"),
        channels=auxiliary.CONVS_DIM,
        num_classes=head.NUM_CLASSES,
        norm=head.NORM,
        dropout=head.DROPOUT,
        loss_weight=auxiliary.LOSS_WEIGHT,
    )
