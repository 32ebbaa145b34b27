"""modeling/pspnet.py: pyramid pooling by its definition."""

from __future__ import annotations

import torch
from torch import nn

from auto_seg_loss.modeling.pspnet import PyramidPooling


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
