"""A plain fully convolutional head with an injected loss; on HRNet's features it is HRNetV2's.

N: images; C: classes; h, w: pixels of the finest feature.

HRNetV2 (Wang et al., TPAMI 2020): the four resolutions, upsampled to the finest, side by side,
mixed by a 1x1 convolution and classified.
"""

from __future__ import annotations

from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import SEM_SEG_HEADS_REGISTRY
from torch import Tensor

from auto_seg_loss.modeling.any_loss import Head, head_keywords
from auto_seg_loss.modeling.blocks import fully_convolutional, resized


@SEM_SEG_HEADS_REGISTRY.register()
class AnyLossFCNHead(Head):
    """All features at the finest one's size, one hidden 1x1 convolution, and a classifier."""

    @configurable
    def __init__(
        self,
        input_shape: dict[str, ShapeSpec],
        *,
        num_classes: int,
        norm: str,
        channels: int,
        dropout: float,
        **training: Any,
    ) -> None:
        """``input_shape``: of one feature or more, the finest first. ``channels``: of the hidden
        layer. ``dropout``: share of channels. ``training``: keywords of ``Head``."""
        super().__init__(**training)
        self.in_features = list(input_shape)
        self.classifier = fully_convolutional(
            sum(shape.channels for shape in input_shape.values()),
            channels,
            num_classes,
            kernel_size=1,
            norm=norm,
            dropout=dropout,
        )

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        """Map config keys to the keywords of ``__init__``."""
        head = cfg.MODEL.SEM_SEG_HEAD
        return {
            **head_keywords(cfg, input_shape),
            "channels": head.CONVS_DIM,
            "dropout": head.DROPOUT,
        }

    def layers(self, features: dict[str, Tensor]) -> Tensor:
        """Features of the backbone -> logits (N, C, h, w)."""
        finest, *others = (features[name] for name in self.in_features)
        height, width = finest.shape[-2:]
        same = [finest, *(resized(other, (height, width)) for other in others)]
        return self.classifier(torch.cat(same, dim=1))
