"""What all heads have in common: an injected loss, and an auxiliary head trained with it.

N: images; C: classes; H, W: pixels of the batch; h, w: of a head's logits, H / stride rounded up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from torch import Tensor, nn

from auto_seg_loss.losses import build_loss
from auto_seg_loss.modeling.blocks import fully_convolutional, shape_of, upsampled

Shapes = dict[str, ShapeSpec]
Features = dict[str, Tensor]


class AnyLoss(nn.Module):
    """Trains a head with any module ``loss(logits (N, C, H, W), target (N, H, W)) -> scalar``.

    A subclass lists this mixin first, has ``layers(features) -> logits (N, C, h, w)``,
    ``common_stride`` (H / h), ``loss_weight`` and ``ignore_value``, and calls ``train_with`` at the
    end of its ``__init__``.

    The loss comes from the config, never from a checkpoint: weights trained with one loss may
    initialise a training with another, and loading them must not restore old control points.
    """

    layers: Callable[[Features], Tensor]
    common_stride: int
    loss_weight: float
    ignore_value: int
    loss: nn.Module
    auxiliary: AuxiliaryHead | None

    def train_with(self, loss: nn.Module, auxiliary: AuxiliaryHead | None) -> None:
        """Set the loss of the head and of ``auxiliary``, the head trained beside it, if any."""
        self.loss = loss
        self.auxiliary = auxiliary
        self.register_load_state_dict_pre_hook(_keep_own_loss)

    def forward(
        self, features: Features, targets: Tensor | None = None
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        """In training None and the losses; else logits (N, C, stride h, stride w) and no losses."""
        logits = self.layers(features)
        if not self.training:
            return upsampled(logits, self.common_stride), {}
        if targets is None:
            raise ValueError('training needs labels: the batch has no "sem_seg"')
        main = loss_at(self.loss, logits, self.common_stride, targets)
        losses = {"loss_sem_seg": self.loss_weight * main}
        if self.auxiliary is not None:
            logits = self.auxiliary(features)
            second = loss_at(self.loss, logits, self.auxiliary.stride, targets)
            losses["loss_sem_seg_aux"] = self.auxiliary.loss_weight * second
        return None, losses


def loss_at(loss: nn.Module, logits: Tensor, stride: int, target: Tensor) -> Tensor:
    """The loss of logits (N, C, h, w), upsampled by ``stride``, in float32."""
    # Sums over a batch's pixels need float32, whatever the network's dtype.
    with torch.autocast(logits.device.type, enabled=False):
        return loss(_fitted(upsampled(logits.float(), stride), target), target)


class Head(AnyLoss):
    """Base of the heads of this project that are not Detectron2's: ``Head(cfg, shapes)``.

    A subclass defines ``layers``. ``input_shape`` has the features of IN_FEATURES, finest first.
    ValueError unless COMMON_STRIDE is the finest feature's stride.
    """

    def __init__(self, cfg: CfgNode, shapes: Shapes) -> None:
        super().__init__()
        head, key = cfg.MODEL.SEM_SEG_HEAD, "MODEL.SEM_SEG_HEAD.IN_FEATURES"
        chosen = {name: shape_of(shapes, name, key) for name in head.IN_FEATURES}
        self.input_shape = dict(sorted(chosen.items(), key=lambda item: item[1].stride))
        finest = next(iter(self.input_shape))
        if chosen[finest].stride != head.COMMON_STRIDE:
            raise ValueError(
                f"MODEL.SEM_SEG_HEAD.COMMON_STRIDE must be that of {finest}, "
                f"{chosen[finest].stride}, got {head.COMMON_STRIDE}."
            )
        self.common_stride, self.loss_weight = head.COMMON_STRIDE, head.LOSS_WEIGHT
        self.ignore_value = head.IGNORE_VALUE
        self.train_with(**training_keywords(cfg, shapes))


class AuxiliaryHead(nn.Module):
    """The second prediction of the released training: one hidden 3x3 convolution on one feature.

    MODEL.AUX_HEAD configures it; ``shapes`` are those of all features. It has no loss: the head it
    belongs to applies its own. Evaluation does not use it.
    """

    def __init__(self, cfg: CfgNode, shapes: Shapes) -> None:
        super().__init__()
        settings = cfg.MODEL.AUX_HEAD
        shape = shape_of(shapes, settings.IN_FEATURE, "MODEL.AUX_HEAD.IN_FEATURE")
        self.in_feature, self.stride = settings.IN_FEATURE, int(shape.stride)
        self.loss_weight = settings.LOSS_WEIGHT
        self.classifier = fully_convolutional(cfg, shape.channels, settings.CONVS_DIM, 3)

    def forward(self, features: Features) -> Tensor:
        """Features of the backbone -> logits (N, C, h, w) of its feature's pixels."""
        return self.classifier(features[self.in_feature])


def training_keywords(cfg: CfgNode, shapes: Shapes) -> dict[str, Any]:
    """``loss`` and ``auxiliary`` of a config, for ``train_with``."""
    auxiliary = AuxiliaryHead(cfg, shapes) if cfg.MODEL.AUX_HEAD.ENABLED else None
    return {"loss": build_loss(cfg), "auxiliary": auxiliary}


def _fitted(logits: Tensor, target: Tensor) -> Tensor:
    """Crop the excess below and on the right if the stride does not divide the batch's size."""
    height, width = target.shape[-2:]
    if logits.shape[-2:] == target.shape[-2:]:
        return logits  # a slice, even of everything, would copy the gradient
    return logits[..., :height, :width]


def _keep_own_loss(head: AnyLoss, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    loss_prefix = f"{prefix}loss."
    for key in [key for key in state if key.startswith(loss_prefix)]:
        del state[key]
    state.update({loss_prefix + key: value for key, value in head.loss.state_dict().items()})
