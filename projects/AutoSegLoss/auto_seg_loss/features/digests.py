"""Digests that name the files of features: other features never have the same name."""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache, lru_cache

import torch
from detectron2.config import CfgNode

from auto_seg_loss.features.backbone import WEIGHTS_KEY
from auto_seg_loss.features.network import frozen_backbone
from auto_seg_loss.weights import local_weights


def features_digest(cfg: CfgNode, names: list[str]) -> str:
    """Of all that features depend on beside the image."""
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
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


@cache
def image_digest(path: str) -> str:
    """Of an image file, by its place, size and time: reading all of it would cost seconds."""
    status = os.stat(path)
    text = f"{os.path.abspath(path)} {status.st_size} {status.st_mtime_ns}"
    return hashlib.sha256(text.encode()).hexdigest()[:24]
