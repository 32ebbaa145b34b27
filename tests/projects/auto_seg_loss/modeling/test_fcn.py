"""modeling/fcn.py: features of several sizes meet at the finest one's."""

from __future__ import annotations

import torch
from detectron2.layers import ShapeSpec
from torch import nn

from auto_seg_loss.modeling import AnyLossFCNHead

SHAPES = {"a": ShapeSpec(channels=4, stride=4), "b": ShapeSpec(channels=6, stride=8)}


def head(shapes: dict[str, ShapeSpec]) -> AnyLossFCNHead:
    loss = nn.CrossEntropyLoss()
    settings = {"num_classes": 3, "norm": "", "channels": 5, "dropout": 0.0, "loss": loss}
    return AnyLossFCNHead(shapes, common_stride=4, **settings)


def test_logits_have_the_finest_size():
    features = {"a": torch.rand(2, 4, 10, 6), "b": torch.rand(2, 6, 5, 3)}
    assert head(SHAPES).layers(features).shape == (2, 3, 10, 6)


def test_the_finest_comes_first_however_the_config_lists_them(make_cfg):
    options = ("MODEL.SEM_SEG_HEAD.IN_FEATURES", ["b", "a"])
    assert AnyLossFCNHead(make_cfg(*options), SHAPES).in_features == ["a", "b"]
