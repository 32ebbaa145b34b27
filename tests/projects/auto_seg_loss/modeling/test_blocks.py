"""modeling/blocks.py: sizes, norms and the first logits."""

from __future__ import annotations

import pytest
import torch
from detectron2.layers import ShapeSpec
from torch import nn

from auto_seg_loss.modeling.blocks import (
    conv_norm_relu,
    fully_convolutional,
    shape_of,
    upsampled,
)

FEATURE = torch.rand(2, 4, 5, 7)


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("norm, bias", [("", True), ("BN", False), ("SyncBN", False)])
def test_a_convolution_keeps_the_size_and_has_a_norm_or_a_bias(kernel_size, norm, bias):
    conv = conv_norm_relu(4, 6, kernel_size, norm)
    out = conv(FEATURE)
    assert out.shape == (2, 6, 5, 7) and out.min() >= 0
    assert (conv.bias is not None) == bias and (conv.norm is None) == bias


def test_first_logits_are_small():
    head = fully_convolutional(4, 8, 3, kernel_size=3, norm="BN", dropout=0.1)
    logits = head(FEATURE)
    assert logits.shape == (2, 3, 5, 7) and logits.abs().max() < 0.05


def test_dropout_is_off_in_evaluation():
    head = fully_convolutional(4, 8, 3, kernel_size=1, norm="", dropout=0.5)
    assert isinstance(head[1], nn.Dropout2d) and not torch.equal(head(FEATURE), head(FEATURE))
    head.eval()
    assert torch.equal(head(FEATURE), head(FEATURE))


def test_upsampling_repeats_a_constant():
    assert torch.equal(upsampled(torch.full((1, 2, 3, 4), 0.5), 4), torch.full((1, 2, 12, 16), 0.5))


def test_an_unknown_feature_lists_the_known_ones():
    shapes = {"res2": ShapeSpec(channels=4, stride=4), "res5": ShapeSpec(channels=8, stride=16)}
    assert shape_of(shapes, "res5", "KEY").channels == 8
    with pytest.raises(ValueError, match=r"KEY 'res4' .* res2 \(stride 4\), res5 \(stride 16\)\."):
        shape_of(shapes, "res4", "KEY")
