"""modeling/timm_backbone.py: timm's networks give features by name; nothing is downloaded."""

from __future__ import annotations

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_backbone
from torch import nn

from auto_seg_loss.modeling.timm_backbone import build_timm_backbone

timm = pytest.importorskip("timm")
T = "MODEL.TIMM."


def settings(name: str, *options: object) -> tuple[object, ...]:
    return ("MODEL.BACKBONE.NAME", "build_timm_backbone", T + "NAME", name, *options)


@pytest.mark.parametrize(
    "name, wanted, strides",
    [
        ("test_resnet", ["stage1", "stage4"], [4, 32]),
        ("test_convnext", ["stage0", "stage3"], [4, 32]),
        ("test_efficientnet", ["stage2"], [8]),
    ],
)
def test_features_are_those_of_timm(make_cfg, name, wanted, strides):
    network = build_backbone(make_cfg(*settings(name, T + "OUT_FEATURES", wanted)))
    shapes = network.output_shape()
    assert list(shapes) == wanted
    features = network(torch.rand(2, 3, 64, 96))
    for feature, stride in zip(wanted, strides, strict=True):
        assert shapes[feature].stride == stride
        expected = (2, shapes[feature].channels, 64 // stride, 96 // stride)
        assert features[feature].shape == expected
    info = timm.create_model(name, features_only=True).feature_info
    indices = [int(feature[-1]) for feature in wanted]
    assert [shapes[f].channels for f in wanted] == info.channels(indices)


def test_batch_norms_become_synchronised(make_cfg):
    options = (T + "SYNC_BN", True, T + "OUT_FEATURES", ["stage1"])
    network = build_timm_backbone(
        make_cfg(*settings("test_resnet", *options)), ShapeSpec(channels=3)
    )
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert norms and all(isinstance(norm, nn.SyncBatchNorm) for norm in norms)
    assert network.train()(torch.rand(2, 3, 32, 32))["stage1"].isfinite().all()


def test_channels_come_first_whatever_the_network(make_cfg):
    options = (T + "OUT_FEATURES", ["stage0", "stage3"])
    cfg = make_cfg(*settings("swin_tiny_patch4_window7_224", *options))
    with torch.device("meta"):
        features = build_backbone(cfg)(torch.zeros(1, 3, 224, 224))
    shapes = {name: tuple(feature.shape) for name, feature in features.items()}
    assert shapes == {"stage0": (1, 96, 56, 56), "stage3": (1, 768, 7, 7)}
