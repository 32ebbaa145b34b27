"""modeling/pspnet.py: pyramid pooling by its definition."""

from __future__ import annotations

import pytest
import torch
from detectron2.layers import ShapeSpec
from torch import nn

from auto_seg_loss.modeling import AnyLossPSPHead
from auto_seg_loss.modeling.pspnet import PyramidPooling

SETTINGS = {
    "num_classes": 3,
    "norm": "BN",
    "channels": 6,
    "grids": [1, 2],
    "dropout": 0.0,
    "loss": nn.CrossEntropyLoss(),
    "common_stride": 8,
}


def test_features_stand_beside_their_means():
    pooling = PyramidPooling(8, [1, 2], norm="")
    assert pooling.out_channels == 16
    for stage in pooling.stages:
        nn.init.constant_(stage[1].weight, 1.0)
    feature = torch.rand(2, 8, 4, 6)
    out = pooling(feature)
    assert out.shape == (2, 16, 4, 6)
    assert torch.equal(out[:, :8], feature)
    mean = feature.mean((2, 3)).sum(1)  # the weights of the 1x1 convolution are 1
    torch.testing.assert_close(out[:, 8:12], mean[:, None, None, None].expand(2, 4, 4, 6))
    corner = feature[..., :2, :3].mean((2, 3)).sum(1)
    torch.testing.assert_close(out[:, 12, 0, 0], corner)


def test_a_batch_of_one_image_can_be_trained():
    """Batch norm over a grid of one cell would have a single value a channel."""
    pooling = PyramidPooling(8, [1, 2, 3, 6], norm="BN").train()
    assert pooling(torch.rand(1, 8, 6, 6)).isfinite().all()


def test_it_takes_one_feature():
    shapes = {name: ShapeSpec(channels=8, stride=8) for name in ("res4", "res5")}
    with pytest.raises(ValueError, match=r"takes one feature.* names 2: res4, res5"):
        AnyLossPSPHead(shapes, **SETTINGS)


def test_logits_have_the_features_size():
    head = AnyLossPSPHead({"res5": ShapeSpec(channels=8, stride=8)}, **SETTINGS)
    assert head.layers({"res5": torch.rand(2, 8, 5, 7)}).shape == (2, 3, 5, 7)


def test_a_wrong_stride_is_refused(make_cfg):
    options = ("MODEL.SEM_SEG_HEAD.IN_FEATURES", ["res5"], "MODEL.SEM_SEG_HEAD.COMMON_STRIDE", 8)
    shapes = {"res5": ShapeSpec(channels=8, stride=16)}
    with pytest.raises(ValueError, match=r"COMMON_STRIDE must be that of res5, 16, got 8"):
        AnyLossPSPHead(make_cfg(*options), shapes)
