"""modeling/auxiliary.py: the head of MODEL.AUX_HEAD; how it is trained is in test_any_loss.py."""

from __future__ import annotations

import torch
from detectron2.layers import ShapeSpec

from auto_seg_loss.modeling.auxiliary import build_auxiliary

AUX = "MODEL.AUX_HEAD."
SHAPES = {name: ShapeSpec(channels=8, stride=16) for name in ("res4", "res5")}


def test_it_is_off_by_default(make_cfg):
    assert build_auxiliary(make_cfg(), {}) is None


def test_it_looks_at_the_configured_feature(make_cfg):
    options = (AUX + "ENABLED", True, AUX + "CONVS_DIM", 6, AUX + "LOSS_WEIGHT", 0.25)
    head = build_auxiliary(make_cfg(*options), SHAPES)
    assert (head.in_feature, head.stride, head.loss_weight) == ("res4", 16, 0.25)
    assert head.classifier[0].out_channels == 6
    assert head({"res4": torch.rand(2, 8, 5, 7)}).shape == (2, 7, 5, 7)
