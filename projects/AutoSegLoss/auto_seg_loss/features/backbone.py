"""The backbone that features come from, and the digests that name the files of its features."""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode

from auto_seg_loss.features.network import frozen_backbone
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.runtime.random_states import undisturbed
from auto_seg_loss.weights import converted, local_weights, read_checkpoint
from autoseg_core.files import save_whole

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
    checkpoint = read_checkpoint(local_weights(cfg.FEATURES.WEIGHTS, WEIGHTS_KEY))
    _, found = converted(checkpoint["model"], ours)
    state = {name.removeprefix("backbone."): tensor for name, tensor in found.items()}
    backbone.load_state_dict(state, strict=False)
    return backbone.eval().to(cfg.MODEL.DEVICE)


def save_backbone(cfg: CfgNode, path: Path) -> None:
    """Write ``trained_backbone`` as MODEL.WEIGHTS of a whole network with this backbone."""
    state = trained_backbone(cfg).state_dict()
    save_whole({"model": {f"backbone.{name}": t.cpu() for name, t in state.items()}}, path)


def features_digest(cfg: CfgNode, names: list[str]) -> str:
    """Digest of everything that features depend on besides the image."""
    with torch.device("meta"):
        backbone = repr(frozen_backbone(cfg))
    parts = {
        "backbone": backbone,
        "weights": _content(str(local_weights(cfg.FEATURES.WEIGHTS, WEIGHTS_KEY))),
        "names": names,
        "size": list(cfg.FEATURES.SIZE),
        "pixels": [cfg.INPUT.FORMAT, list(cfg.MODEL.PIXEL_MEAN), list(cfg.MODEL.PIXEL_STD)],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


@lru_cache
def _content(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@cache
def image_digest(path: str) -> str:
    """Digest of an image file's path, size and time: reading the content would take seconds."""
    status = os.stat(path)
    text = f"{os.path.abspath(path)} {status.st_size} {status.st_mtime_ns}"
    return hashlib.sha256(text.encode()).hexdigest()[:24]
