"""The registry that maps configured loss names to modules.

Every loss is a module ``loss(logits (N, C, H, W) float, target (N, H, W) int64) -> scalar``, for N
images of C classes. Void pixels (MODEL.SEM_SEG_HEAD.IGNORE_VALUE) are ignored, and a batch of only
void pixels gives 0 with zero gradients.
"""

from __future__ import annotations

from fractions import Fraction

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode
from fvcore.common.registry import Registry
from torch import Tensor, nn

from auto_seg_loss.runtime.errors import require
from autoseg_core import load_loss

SEM_SEG_LOSS_REGISTRY = Registry("SEM_SEG_LOSS")
"""Losses for semantic heads: functions of a config that return a module. Register your own with
``@SEM_SEG_LOSS_REGISTRY.register()`` and name it in MODEL.SEM_SEG_HEAD.LOSS_TYPE."""


class CrossEntropy(nn.CrossEntropyLoss):
    """``nn.CrossEntropyLoss``, mean over valid pixels; torch's is NaN if there are none.

    With C weights, each pixel has the weight of its class: sum w_t ce / sum w_t, t the truth.
    """

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """See the module."""
        total = F.cross_entropy(
            logits, target, self.weight, ignore_index=self.ignore_index, reduction="sum"
        )
        valid = target != self.ignore_index
        if self.weight is None:
            return total / valid.sum().clamp(min=1)
        mass = (self.weight[target.where(valid, 0)] * valid).sum()
        return total / mass.where(mass > 0, 1)


class HardPixelMining(nn.Module):
    """Mean cross entropy of the hardest valid pixels: a ``share`` in (0, 1] of them, at least one.

    DeeperLab (Yang et al. 2019, arXiv 1902.05093); Detectron2's DeepLabCE takes the share of all
    pixels, so void pixels dilute it.
    """

    def __init__(self, share: float, ignore_index: int) -> None:
        super().__init__()
        # In whole numbers: MPS has no float64, and float32 rounds a share of many pixels up.
        self.share = Fraction(share).limit_denominator(10**6)
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """See the module."""
        each = F.cross_entropy(logits, target, ignore_index=self.ignore_index, reduction="none")
        # Void pixels cost 0, so they come last. Their number stays on the device: reading it
        # would stall a CUDA stream.
        hardest = each.flatten().topk(max(1, int(self.share * target.numel()))).values
        valid = (target != self.ignore_index).sum()
        count = (valid * self.share.numerator // self.share.denominator).clamp(min=1)
        counted = torch.arange(len(hardest), device=hardest.device) < count
        return (hardest * counted).sum() / count


class SomeValid(nn.Module):
    """``loss`` if a batch has a valid pixel, else 0: for losses that are then NaN, or not a scalar.

    The check stalls a CUDA stream, so only losses that index valid pixels, which stalls it anyway,
    are wrapped.
    """

    def __init__(self, loss: nn.Module, ignore_index: int) -> None:
        super().__init__()
        self.loss, self.ignore_index = loss, ignore_index

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """See the module."""
        if (target == self.ignore_index).all():
            return 0 * logits.sum()
        return self.loss(logits, target)


class Sum(nn.Module):
    """The sum of losses."""

    def __init__(self, *losses: nn.Module) -> None:
        super().__init__()
        self.losses = nn.ModuleList(losses)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return torch.stack([loss(logits, target) for loss in self.losses]).sum()


@SEM_SEG_LOSS_REGISTRY.register()
def cross_entropy(cfg: CfgNode) -> nn.Module:
    """Mean cross entropy over valid pixels."""
    return CrossEntropy(ignore_index=cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE)


@SEM_SEG_LOSS_REGISTRY.register()
def weighted_cross_entropy(cfg: CfgNode) -> nn.Module:
    """Cross entropy with class weights, LOSS_CLASS_WEIGHTS."""
    head = cfg.MODEL.SEM_SEG_HEAD
    values = head.LOSS_CLASS_WEIGHTS
    if len(values) != head.NUM_CLASSES or min(values) < 0 or max(values) == 0:
        raise ValueError(
            f"MODEL.SEM_SEG_HEAD.LOSS_CLASS_WEIGHTS needs a weight for each of {head.NUM_CLASSES} "
            f"classes, none negative and not all 0, got {list(values)}; python -m "
            "auto_seg_loss.class_weights --config-file CONFIG computes them for a training set."
        )
    weights = torch.tensor(values, dtype=torch.float32)
    return CrossEntropy(weight=weights, ignore_index=head.IGNORE_VALUE)


@SEM_SEG_LOSS_REGISTRY.register()
def hard_pixel_mining(cfg: CfgNode) -> nn.Module:
    """Cross entropy over the hardest fifth of the valid pixels."""
    return HardPixelMining(0.2, cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE)


@SEM_SEG_LOSS_REGISTRY.register()
def focal(cfg: CfgNode) -> nn.Module:
    """Focal loss, gamma 2, of each class against the others with sigmoid; extra [baselines]."""
    return SomeValid(_from_smp(cfg, "FocalLoss"), cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE)


@SEM_SEG_LOSS_REGISTRY.register()
def dice(cfg: CfgNode) -> nn.Module:
    """1 - soft Dice of the batch, mean over C classes, absent ones 0; extra [baselines]."""
    return _from_smp(cfg, "DiceLoss")


@SEM_SEG_LOSS_REGISTRY.register()
def cross_entropy_dice(cfg: CfgNode) -> nn.Module:
    """Cross entropy + Dice, equally weighted; extra [baselines]."""
    return Sum(cross_entropy(cfg), dice(cfg))


@SEM_SEG_LOSS_REGISTRY.register()
def jaccard(cfg: CfgNode) -> nn.Module:
    """1 - soft IoU of the batch, mean over C classes, absent ones 0; extra [baselines]."""
    return _from_smp(cfg, "JaccardLoss")


@SEM_SEG_LOSS_REGISTRY.register()
def lovasz(cfg: CfgNode) -> nn.Module:
    """Lovász softmax of the batch, mean over present classes; extra [baselines]."""
    return SomeValid(_from_smp(cfg, "LovaszLoss"), cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE)


@SEM_SEG_LOSS_REGISTRY.register()
def auto_seg_loss(cfg: CfgNode) -> nn.Module:
    """The searched loss named by MODEL.SEM_SEG_HEAD.LOSS_SPEC."""
    head = cfg.MODEL.SEM_SEG_HEAD
    if not head.LOSS_SPEC:
        raise ValueError(
            'MODEL.SEM_SEG_HEAD.LOSS_TYPE "auto_seg_loss" needs MODEL.SEM_SEG_HEAD.LOSS_SPEC: '
            "a zoo name, a metric or the path of a .json file."
        )
    return load_loss(
        head.LOSS_SPEC,
        ignore_index=head.IGNORE_VALUE,
        sync=head.LOSS_SYNC,
        backend=head.LOSS_BACKEND,
    )


def loss_names() -> list[str]:
    """Names that MODEL.SEM_SEG_HEAD.LOSS_TYPE may take, sorted."""
    return sorted(name for name, _ in SEM_SEG_LOSS_REGISTRY)


def build_loss(cfg: CfgNode) -> nn.Module:
    """Build the loss a config names; ``ValueError`` lists the known names."""
    name = cfg.MODEL.SEM_SEG_HEAD.LOSS_TYPE
    if name not in SEM_SEG_LOSS_REGISTRY:
        known = ", ".join(loss_names())
        raise ValueError(f"Unknown MODEL.SEM_SEG_HEAD.LOSS_TYPE {name!r}; known losses: {known}.")
    return SEM_SEG_LOSS_REGISTRY.get(name)(cfg)


def _from_smp(cfg: CfgNode, kind: str) -> nn.Module:
    """A multi-class loss of segmentation_models_pytorch with its default settings."""
    head = cfg.MODEL.SEM_SEG_HEAD
    what = f'MODEL.SEM_SEG_HEAD.LOSS_TYPE "{head.LOSS_TYPE}"'
    smp = require("segmentation_models_pytorch.losses", "baselines", what)
    return getattr(smp, kind)("multiclass", ignore_index=head.IGNORE_VALUE)
