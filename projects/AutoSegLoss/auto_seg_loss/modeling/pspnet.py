"""PSPNet's head (Zhao et al., CVPR 2017) with an injected loss.

N: images; C: classes; K: channels of the feature; B: number of grids; h, w: the feature's pixels.
"""

from __future__ import annotations

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import SEM_SEG_HEADS_REGISTRY
from torch import Tensor, nn

from auto_seg_loss.modeling.any_loss import Head
from auto_seg_loss.modeling.blocks import conv_norm_relu, fully_convolutional, resized


class PyramidPooling(nn.Module):
    """A feature beside its means over grids: (N, K, h, w) -> (N, K + B (K // B), h, w).

    grids: cells along each side, (1, 2, 3, 6) in the paper. A grid of one cell has no norm, as in
    Detectron2's ASPP: a batch of one image would give it a single value per channel.
    """

    def __init__(self, channels: int, grids: list[int], norm: str) -> None:
        super().__init__()
        share = channels // len(grids)
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.AdaptiveAvgPool2d(cells),
                conv_norm_relu(channels, share, 1, norm if cells > 1 else ""),
            )
            for cells in grids
        )
        self.out_channels = channels + share * len(grids)

    def forward(self, feature: Tensor) -> Tensor:
        """See the class."""
        height, width = feature.shape[-2:]
        pooled = [resized(stage(feature), (height, width)) for stage in self.stages]
        return torch.cat([feature, *pooled], dim=1)


@SEM_SEG_HEADS_REGISTRY.register()
class AnyLossPSPHead(Head):
    """Pyramid pooling of one feature, a 3x3 convolution, dropout and a classifier."""

    def __init__(self, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> None:
        super().__init__(cfg, input_shape)
        if len(self.input_shape) != 1:
            raise ValueError(
                "this head takes one feature, MODEL.SEM_SEG_HEAD.IN_FEATURES names "
                f"{', '.join(self.input_shape)}."
            )
        ((self.in_feature, shape),) = self.input_shape.items()
        head = cfg.MODEL.SEM_SEG_HEAD
        self.pooling = PyramidPooling(shape.channels, head.POOL_GRIDS, head.NORM)
        self.classifier = fully_convolutional(cfg, self.pooling.out_channels, head.CONVS_DIM, 3)

    def layers(self, features: dict[str, Tensor]) -> Tensor:
        """Features of the backbone -> logits (N, C, h, w)."""
        return self.classifier(self.pooling(features[self.in_feature]))
