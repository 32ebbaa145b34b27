"""The backbone that features come from, with its trained weights."""

from __future__ import annotations

from typing import Any

from detectron2.config import CfgNode

from auto_seg_loss.features.network import frozen_backbone
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.runtime.random_states import undisturbed
from auto_seg_loss.weights import converted, local_weights, read_checkpoint

WEIGHTS_KEY = "FEATURES.WEIGHTS"


def trained_backbone(cfg: CfgNode) -> Any:
    """The backbone of a config with FEATURES.WEIGHTS, on MODEL.DEVICE, for inference.

    ``ConfigError`` for weights that are missing or of another network.
    """
    with undisturbed(cfg.MODEL.DEVICE):
        backbone = frozen_backbone(cfg)
    ours = {f"backbone.{name}": tensor for name, tensor in backbone.state_dict().items()}
    if not cfg.FEATURES.WEIGHTS:
        raise ConfigError(
            "FEATURES.WEIGHTS is missing: features of a backbone without trained weights would "
            "mean nothing. configs/README.md says where weights come from."
        )
    _, found = converted(
        read_checkpoint(local_weights(cfg.FEATURES.WEIGHTS, WEIGHTS_KEY))["model"], ours
    )
    backbone.load_state_dict(
        {n.removeprefix("backbone."): t for n, t in found.items()}, strict=False
    )
    return backbone.eval().to(cfg.MODEL.DEVICE)
