"""modeling/fcn.py: features of several sizes meet at the finest one's."""

from __future__ import annotations

import torch
from detectron2.layers import ShapeSpec

from auto_seg_loss.modeling.fcn import AnyLossFCNHead

SHAPES = {"a": ShapeSpec(channels=4, stride=4), "b": ShapeSpec(channels=6, stride=8)}


def test_logits_have_the_finest_size_however_the_config_lists_the_features(make_cfg):
    head = AnyLossFCNHead(make_cfg("MODEL.SEM_SEG_HEAD.IN_FEATURES", ["b", "a"]), SHAPES)
    features = {"a": torch.rand(2, 4, 10, 6), "b": torch.rand(2, 6, 5, 3)}
    assert list(head.input_shape) == ["a", "b"]
    assert head.layers(features).shape == (2, 7, 10, 6)
