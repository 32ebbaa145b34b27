"""A ResNet small enough to train on a CPU in minutes, from Detectron2's own blocks."""

from __future__ import annotations

from itertools import pairwise

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, FPN
from detectron2.modeling.backbone.resnet import BasicBlock, BasicStem, ResNet


@BACKBONE_REGISTRY.register()
def build_small_resnet_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> ResNet:
    """ResNet of basic blocks with the stages of MODEL.SMALL_RESNET.

    Stem (stride 4) and norm are those of MODEL.RESNETS. Returns the features of
    MODEL.RESNETS.OUT_FEATURES. A stage of stride 2 must change the number of channels.
    """
    resnets, small = cfg.MODEL.RESNETS, cfg.MODEL.SMALL_RESNET
    width, norm = resnets.STEM_OUT_CHANNELS, resnets.NORM
    stem = BasicStem(in_channels=input_shape.channels, out_channels=width, norm=norm)
    widths = pairwise([width, *small.CHANNELS])
    stages = [
        ResNet.make_stage(
            BasicBlock,
            num_blocks=blocks,
            stride_per_block=[stride] + [1] * (blocks - 1),
            in_channels=before,
            out_channels=after,
            norm=norm,
        )
        for (before, after), blocks, stride in zip(widths, small.BLOCKS, small.STRIDES, strict=True)
    ]
    return ResNet(stem, stages, out_features=resnets.OUT_FEATURES)


@BACKBONE_REGISTRY.register()
def build_small_resnet_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """The small ResNet with a feature pyramid of MODEL.FPN: features p2 .. p5.

    Each stage after the first must halve the resolution: MODEL.SMALL_RESNET.STRIDES [1, 2, 2, 2].
    """
    fpn = cfg.MODEL.FPN
    return FPN(
        build_small_resnet_backbone(cfg, input_shape),
        fpn.IN_FEATURES,
        fpn.OUT_CHANNELS,
        norm=fpn.NORM,
        fuse_type=fpn.FUSE_TYPE,
    )
