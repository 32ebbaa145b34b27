"""A network without its backbone: a head on features that were computed once.

N: images; K: channels of a feature; h, w: its pixels, those of the coarser ones smaller; C: classes.
"""

from __future__ import annotations

from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import META_ARCH_REGISTRY, build_backbone, build_sem_seg_head
from detectron2.modeling.backbone import Backbone
from detectron2.modeling.postprocessing import sem_seg_postprocess
from torch import Tensor, nn

from auto_seg_loss.quiet import quiet


@META_ARCH_REGISTRY.register()
class FrozenFeatures(nn.Module):
    """Trains and scores a semantic head on the features of a frozen backbone.

    Batches are those of ``FeatureMapper``: lists of "features", each (K, h, w) by name, "sem_seg"
    (h, w) of the finest feature's pixels in training, and "size", the part of them that the image
    fills. The loss is computed at the finest feature's resolution. Outputs are those of Detectron2's
    ``SemanticSegmentor``: "sem_seg" (C, height, width).

    Each feature is standardised by a batch norm without weights, so that one learning rate suits
    features of any backbone.
    """

    @configurable
    def __init__(self, *, shapes: dict[str, ShapeSpec], sem_seg_head: nn.Module) -> None:
        super().__init__()
        self.backbone = nn.Identity()  # where optimisers look for its weights: it has none to train
        self.standardise = nn.ModuleDict(
            {name: nn.BatchNorm2d(shape.channels, affine=False) for name, shape in shapes.items()}
        )
        self.sem_seg_head: Any = sem_seg_head
        self.sem_seg_head.common_stride = 1  # labels come at the resolution of its logits

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Map config keys to the keywords of ``__init__``."""
        shapes = feature_shapes(cfg)
        return {"shapes": shapes, "sem_seg_head": build_sem_seg_head(cfg, shapes)}

    @property
    def device(self) -> torch.device:
        """Of the head's weights."""
        return next(self.sem_seg_head.parameters()).device

    def forward(self, batch: list[dict[str, Any]]) -> Any:
        """Losses by name in training, else a list of {"sem_seg": logits (C, height, width)}."""
        features = {
            name: norm(self._stack([item["features"][name] for item in batch]).float())
            for name, norm in self.standardise.items()
        }
        if self.training:
            targets = self._stack([item["sem_seg"] for item in batch])
            _, losses = self.sem_seg_head(features, targets)
            return losses
        logits, _ = self.sem_seg_head(features, None)
        return [
            {"sem_seg": sem_seg_postprocess(one, item["size"], item["height"], item["width"])}
            for one, item in zip(logits, batch, strict=True)
        ]

    def _stack(self, tensors: list[Tensor]) -> Tensor:
        return torch.stack(tensors).to(self.device, non_blocking=True)


def frozen_backbone(cfg: CfgNode) -> Backbone:
    """The backbone of a config, with weights as they are made."""
    with quiet():
        backbone: Backbone = build_backbone(cfg)
    return backbone


def feature_shapes(cfg: CfgNode) -> dict[str, ShapeSpec]:
    """Of the features that the head takes, by name; nothing is computed."""
    with torch.device("meta"):
        shapes = frozen_backbone(cfg).output_shape()
    names = feature_names(cfg)
    return {name: shape for name, shape in shapes.items() if name in names}


def feature_names(cfg: CfgNode) -> list[str]:
    """Names of the features that the heads of a config take."""
    auxiliary = [cfg.MODEL.AUX_HEAD.IN_FEATURE] if cfg.MODEL.AUX_HEAD.ENABLED else []
    return [*cfg.MODEL.SEM_SEG_HEAD.IN_FEATURES, *auxiliary]
