"""A network without its backbone: a head on features that were computed once.

N: images; P: channels of a whitened feature; h, w: its pixels, fewer of a coarser one; C: classes.
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

from auto_seg_loss.runtime.log_levels import logs_off


@META_ARCH_REGISTRY.register()
class FrozenFeatures(nn.Module):
    """Trains and scores a semantic head on the features of a frozen backbone.

    Batches are those of ``FeatureMapper``: lists of "features", each (P, h, w) by name, "sem_seg"
    (h, w) of the finest feature's pixels in training, and "size", the part of them that the image
    fills. The loss is computed at the finest feature's resolution. Outputs are those of
    Detectron2's ``SemanticSegmentor``: "sem_seg" (C, height, width).
    """

    @configurable
    def __init__(self, *, sem_seg_head: Any) -> None:
        super().__init__()
        self.backbone = nn.Identity()  # optimisers look here for weights; there are none to train
        self.sem_seg_head = sem_seg_head
        self.to(memory_format=torch.channels_last)  # a third faster
        sem_seg_head.common_stride = 1  # labels come at the resolution of its logits

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Map config keys to the keywords of ``__init__``."""
        most = cfg.FEATURES.CHANNELS
        shapes = {
            name: ShapeSpec(channels=min(shape.channels, most), stride=shape.stride)
            for name, shape in feature_shapes(cfg).items()
        }
        return {"sem_seg_head": build_sem_seg_head(cfg, shapes)}

    @property
    def device(self) -> torch.device:
        """Of the head's weights."""
        return next(self.sem_seg_head.parameters()).device

    def forward(self, batch: list[dict[str, Any]]) -> Any:
        """Losses by name in training, else a list of {"sem_seg": logits (C, height, width)}."""
        features = {
            name: self._stack([item["features"][name] for item in batch])
            for name in batch[0]["features"]
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
        batch = torch.stack(tensors).to(self.device)
        return batch.contiguous(memory_format=torch.channels_last) if batch.ndim == 4 else batch


def frozen_backbone(cfg: CfgNode) -> Backbone:
    """The backbone of a config, with initial weights."""
    with logs_off():
        return build_backbone(cfg)


def feature_shapes(cfg: CfgNode) -> dict[str, ShapeSpec]:
    """Shapes of the backbone features that the heads use, by name, without computing them."""
    with torch.device("meta"):
        shapes = frozen_backbone(cfg).output_shape()
    auxiliary = [cfg.MODEL.AUX_HEAD.IN_FEATURE] if cfg.MODEL.AUX_HEAD.ENABLED else []
    used = (*cfg.MODEL.SEM_SEG_HEAD.IN_FEATURES, *auxiliary)
    return {name: shape for name, shape in shapes.items() if name in used}
