"""A config of heads on frozen features."""

from __future__ import annotations

import pytest
import torch

from auto_seg_loss.features.network import frozen_backbone


@pytest.fixture
def make_frozen(shapes, make_cfg, tmp_path):
    """``make_frozen(KEY, VALUE, ...)``: the tiny config on frozen features of random weights."""
    torch.manual_seed(0)
    weights = tmp_path / "backbone.pth"

    def make(*options):
        cfg = make_cfg(
            *("MODEL.META_ARCHITECTURE", "FrozenFeatures", "INPUT.CROP.ENABLED", False),
            *("FEATURES.SIZE", (32, 48), "FEATURES.CACHE", str(tmp_path / "features")),
            *("FEATURES.WEIGHTS", str(weights), "SEARCH.WARM_START.MAX_ITER", 0, *options),
        )
        if not weights.exists():
            state = frozen_backbone(cfg).state_dict()
            torch.save({f"backbone.{name}": tensor for name, tensor in state.items()}, weights)
        return cfg

    return make
