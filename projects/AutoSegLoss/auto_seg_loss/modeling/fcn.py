"""A plain fully convolutional head with an injected loss; on HRNet's features it is HRNetV2's.

N: images; C: classes; h, w: pixels of the finest feature.

HRNetV2 (Wang et al., TPAMI 2020): the four resolutions, upsampled to the finest, side by side,
mixed by a 1x1 convolution and classified.
"""

from __future__ import annotations

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import SEM_SEG_HEADS_REGISTRY
from torch import Tensor

from auto_seg_loss.modeling.any_loss import Head
from auto_seg_loss.modeling.blocks import fully_convolutional, resized


@SEM_SEG_HEADS_REGISTRY.register()
class AnyLossFCNHead(Head):
    """Features side by side, a 1x1 convolution, and a classifier."""

    def __init__(self, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> None:
        super().__init__(cfg, input_shape)
        channels = sum(shape.channels for shape in self.input_shape.values())
        self.classifier = fully_convolutional(cfg, channels, cfg.MODEL.SEM_SEG_HEAD.CONVS_DIM, 1)

    def layers(self, features: dict[str, Tensor]) -> Tensor:
        """Features of the backbone -> logits (N, C, h, w)."""
        finest, *others = (features[name] for name in self.input_shape)
        height, width = finest.shape[-2:]
        same = [finest, *(resized(other, (height, width)) for other in others)]
        return self.classifier(torch.cat(same, dim=1))
