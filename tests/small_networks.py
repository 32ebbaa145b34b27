"""The networks of the configs in sizes for a CPU: KEY VALUE pairs over shapes/Base-Shapes.yaml."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

_HEAD, _RESNET = "MODEL.SEM_SEG_HEAD.", "MODEL.SMALL_RESNET."
_PYRAMID = ["res2", "res3", "res4", "res5"]
_STAGES = ["stage1", "stage2", "stage3", "stage4"]
PAIRS = {
    "DeepLabV3Plus": {},
    "DeepLabV3": {
        _HEAD + "NAME": "AnyLossDeepLabV3Head",
        _HEAD + "IN_FEATURES": ["res5"],
        _HEAD + "COMMON_STRIDE": 16,
    },
    "PSPNet": {
        _HEAD + "NAME": "AnyLossPSPHead",
        _HEAD + "IN_FEATURES": ["res5"],
        _HEAD + "COMMON_STRIDE": 8,
        _RESNET + "STRIDES": [1, 2, 1, 1],
    },
    "SemanticFPN": {
        _HEAD + "NAME": "AnyLossSemSegFPNHead",
        _HEAD + "IN_FEATURES": ["p2", "p3", "p4", "p5"],
        _RESNET + "CHANNELS": [16, 32, 64, 96],
        _RESNET + "STRIDES": [1, 2, 2, 2],
        "MODEL.BACKBONE.NAME": "build_small_resnet_fpn_backbone",
        "MODEL.RESNETS.OUT_FEATURES": _PYRAMID,
        "MODEL.FPN.IN_FEATURES": _PYRAMID,
        "MODEL.FPN.OUT_CHANNELS": 32,
        "MODEL.AUX_HEAD.IN_FEATURE": "p4",
    },
    "HRNet": {
        _HEAD + "NAME": "AnyLossFCNHead",
        _HEAD + "IN_FEATURES": _STAGES,
        _HEAD + "CONVS_DIM": 64,
        _HEAD + "DROPOUT": 0.0,
        "MODEL.BACKBONE.NAME": "build_timm_backbone",
        "MODEL.TIMM.NAME": "hrnet_w18_small",
        "MODEL.TIMM.OUT_FEATURES": _STAGES,
        "MODEL.TIMM.OPTIONS": ["feature_location", ""],
        "MODEL.AUX_HEAD.IN_FEATURE": "stage3",
    },
}
_TIMM = pytest.mark.skipif(find_spec("timm") is None, reason="needs timm: extra [baselines]")
PARAMETERS = [pytest.param(name, marks=_TIMM if name == "HRNet" else ()) for name in PAIRS]
"""Names of the networks, for ``pytest.mark.parametrize``."""


def small_network(name: str) -> list[str]:
    """The pairs of a network of ``PAIRS``, as of a command line."""
    return [str(word) for pair in PAIRS[name].items() for word in pair]
