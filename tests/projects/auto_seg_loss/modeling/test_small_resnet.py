"""modeling/small_resnet.py: the stages of the config."""

from __future__ import annotations

import pytest
import torch
from detectron2.modeling import build_backbone

SMALL = "MODEL.SMALL_RESNET."


@pytest.mark.parametrize(
    "blocks, channels, strides, reach",
    [
        ([1, 2, 1, 2], [8, 12, 16, 20], [1, 2, 2, 2], 32),
    ],
)
def test_shapes_are_those_of_the_config(make_cfg, blocks, channels, strides, reach):
    cfg = make_cfg(
        *(SMALL + "BLOCKS", blocks, SMALL + "CHANNELS", channels, SMALL + "STRIDES", strides)
    )
    network = build_backbone(cfg)
    shapes = network.output_shape()
    assert (shapes["res2"].channels, shapes["res2"].stride) == (channels[0], 4)
    assert (shapes["res5"].channels, shapes["res5"].stride) == (channels[3], reach)
    features = network(torch.zeros(2, 3, 64, 96))
    assert features["res2"].shape == (2, channels[0], 16, 24)
    assert features["res5"].shape == (2, channels[3], 64 // reach, 96 // reach)
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
