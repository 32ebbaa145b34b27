"""Layers of heads. N: images; K: channels; C: classes; h, w: pixels of a feature."""

from __future__ import annotations

import torch.nn.functional as F
from detectron2.config import CfgNode
from detectron2.layers import Conv2d, ShapeSpec, get_norm
from fvcore.nn.weight_init import c2_msra_fill
from torch import Tensor, nn


def conv_norm_relu(in_channels: int, out_channels: int, kernel_size: int, norm: str) -> Conv2d:
    """Convolution that keeps (h, w), norm (a name of Detectron2's, "" for none) and ReLU."""
    conv = Conv2d(
        in_channels,
        out_channels,
        kernel_size=kernel_size,
        padding=kernel_size // 2,
        bias=norm == "",
        norm=get_norm(norm, out_channels),
        activation=F.relu,
    )
    c2_msra_fill(conv)
    return conv


def fully_convolutional(
    cfg: CfgNode, in_channels: int, channels: int, kernel_size: int
) -> nn.Sequential:
    """(N, K, h, w) -> logits (N, C, h, w) by one hidden convolution of ``channels`` channels.

    Norm, dropout and classes are those of MODEL.SEM_SEG_HEAD. The logits are near 0 at the start,
    as in Detectron2's DeepLab.
    """
    head = cfg.MODEL.SEM_SEG_HEAD
    hidden = conv_norm_relu(in_channels, channels, kernel_size, head.NORM)
    predictor = Conv2d(channels, head.NUM_CLASSES, kernel_size=1)
    nn.init.normal_(predictor.weight, 0, 0.001)
    nn.init.constant_(predictor.bias, 0)
    return nn.Sequential(hidden, nn.Dropout2d(head.DROPOUT), predictor)


def resized(feature: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, with pixels as areas (``align_corners=False``) as everywhere in Detectron2."""
    return F.interpolate(feature, size=size, mode="bilinear", align_corners=False)


def upsampled(logits: Tensor, stride: int) -> Tensor:
    """(N, C, h, w) -> (N, C, stride h, stride w), bilinear."""
    return F.interpolate(logits, scale_factor=stride, mode="bilinear", align_corners=False)


def shape_of(shapes: dict[str, ShapeSpec], name: str, key: str) -> ShapeSpec:
    """The feature that the config's ``key`` names; ``ValueError`` lists the known ones."""
    if name not in shapes:
        known = ", ".join(f"{n} (stride {shape.stride})" for n, shape in shapes.items())
        raise ValueError(
            f"{key} {name!r} is not among the backbone's features: {known}. They are set by "
            "MODEL.RESNETS.OUT_FEATURES, MODEL.TIMM.OUT_FEATURES or MODEL.FPN.IN_FEATURES."
        )
    return shapes[name]
