"""modeling/small_resnet.py: the stages of the config."""

from __future__ import annotations

import torch
from detectron2.modeling import build_backbone

SMALL = "MODEL.SMALL_RESNET."


def test_shapes_are_those_of_the_config(make_cfg):
    blocks, channels, strides = [1, 2, 1, 2], [8, 12, 16, 20], [1, 2, 2, 2]
    cfg = make_cfg(
        *(SMALL + "BLOCKS", blocks, SMALL + "CHANNELS", channels, SMALL + "STRIDES", strides)
    )
    network = build_backbone(cfg)
    features = network(torch.zeros(2, 3, 64, 96))
    assert features["res2"].shape == (2, 8, 16, 24) and features["res5"].shape == (2, 20, 2, 3)
    shape = network.output_shape()["res5"]
    assert (shape.channels, shape.stride) == (20, 32)
    assert [len(stage) for stage in network.stages] == blocks


PYRAMID = (
    *("MODEL.BACKBONE.NAME", "build_small_resnet_fpn_backbone"),
    *(SMALL + "CHANNELS", [8, 12, 16, 20], SMALL + "STRIDES", [1, 2, 2, 2]),
    *("MODEL.RESNETS.OUT_FEATURES", ["res2", "res3", "res4", "res5"]),
    *("MODEL.FPN.IN_FEATURES", ["res2", "res3", "res4", "res5"], "MODEL.FPN.OUT_CHANNELS", 6),
)


def test_a_pyramid_stands_on_the_stages(make_cfg):
    network = build_backbone(make_cfg(*PYRAMID))
    features = network(torch.zeros(1, 3, 64, 96))
    sizes = {name: tuple(feature.shape[1:]) for name, feature in features.items()}
    assert sizes == {"p2": (6, 16, 24), "p3": (6, 8, 12), "p4": (6, 4, 6), "p5": (6, 2, 3)}
    assert network.size_divisibility == 32
