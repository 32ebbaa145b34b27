"""Scaling candidates, so that each trains at a learning rate that suits cross entropy.

Gradients of surrogates differ by a factor of a hundred, so at one learning rate a search would find
steep curves instead of good ones. The scale is measured on logits of a briefly trained head: at
random weights many curves are flat, and a factor measured there would be far too large for the rest
of the training; after a few iterations with cross entropy it is right.

N: images; C: classes; H, W: pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import torch
from detectron2.config import CfgNode
from torch import Tensor, nn

from auto_seg_loss.config import changed
from auto_seg_loss.data import build_train_loader
from auto_seg_loss.data.catalog import Pairs
from auto_seg_loss.runtime.log_levels import logs_off
from auto_seg_loss.runtime.random_states import undisturbed
from auto_seg_loss.train_loop import train
from autoseg_core import AutoSegLoss, LossSpec, gradient_scale

Batches = Sequence[tuple[Tensor, Tensor]]
"""Logits (N, C, H, W) and targets (N, H, W)."""

BATCHES = 4  # number of batches that the gradients are averaged over


def reference_batches(cfg: CfgNode, model: Any, start: dict[str, Tensor], dicts: Pairs) -> Batches:
    """Batches of ``dicts`` as ``model``, trained for SEARCH.SCALE_ITERS from ``start``, sees them.

    () if that is 0: candidates are then not scaled. The weights of ``model`` change.
    """
    if not cfg.SEARCH.SCALE_ITERS:
        return ()
    rate = cfg.SEARCH.SCALE_LR or cfg.SOLVER.BASE_LR
    short = changed(cfg, {"SOLVER.MAX_ITER": cfg.SEARCH.SCALE_ITERS, "SOLVER.BASE_LR": rate})
    model.load_state_dict(start)
    listener = _Listener()
    with logs_off(), undisturbed(cfg.MODEL.DEVICE):
        train(short, model, dicts, cfg.SEED)
        loss, model.sem_seg_head.loss = model.sem_seg_head.loss, listener
        with torch.no_grad():
            for batch in islice(build_train_loader(cfg, dicts), BATCHES):
                model(batch)
        model.sem_seg_head.loss = loss
    return listener.heard


def scaled(spec: LossSpec, batches: Batches, ignore_value: int) -> LossSpec:
    """The spec scaled to cross entropy's mean gradient on ``batches``; unchanged without any.

    ``ValueError`` for a loss that is flat there.
    """
    if not batches:
        return spec
    return spec.scaled(gradient_scale(AutoSegLoss(spec, ignore_value), batches))


class _Listener(nn.Module):
    """A loss that stores its arguments; its value is meaningless."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[Tensor, Tensor]] = []

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        self.heard.append((logits.clone(), target))
        return logits.sum()
