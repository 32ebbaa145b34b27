"""The loop of all trainings: optimiser, schedule, accumulation and mixed precision."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.engine import HookBase, SimpleTrainer, hooks
from detectron2.projects.deeplab import build_lr_scheduler
from detectron2.solver.build import get_default_optimizer_params, maybe_add_gradient_clipping
from detectron2.utils.env import seed_all_rng
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from auto_seg_loss.data import build_train_loader


class TrainLoop(SimpleTrainer):
    """Detectron2's ``SimpleTrainer`` with the optimiser, schedule, accumulation and AMP of SOLVER.

    An iteration is one optimiser step: SOLVER.ACCUMULATE batches are drawn, and the gradient is
    that of the mean of their losses. For a mean over equally many pixels of each image this is the
    gradient of one batch of all their images. Not so for a surrogate, a ratio of a batch's counts:
    the mean of the ratios of small batches is not the ratio of the whole. Nor for batch norm, whose
    statistics are those of each batch.

    SOLVER.AMP.ENABLED: autocast to float16 with a gradient scaler on CUDA, to bfloat16 without one
    elsewhere (Detectron2's AMPTrainer is only for CUDA); this project's heads still compute their
    loss in float32.

    model: has ``backbone`` and ``sem_seg_head``, also inside DDP; called with a batch, it returns
    losses by name.
    """

    def __init__(self, cfg: CfgNode, model: nn.Module, batches: Iterable[Any]) -> None:
        super().__init__(model, batches, build_optimizer(cfg, getattr(model, "module", model)))
        self.scheduler = build_lr_scheduler(cfg, self.optimizer)
        self.accumulate, self.mixed_precision = cfg.SOLVER.ACCUMULATE, cfg.SOLVER.AMP.ENABLED
        self._device = next(model.parameters()).device.type
        # float16 needs gradient scaling, bfloat16 does not.
        scaled = self.mixed_precision and self._device == "cuda"
        self._scaler = torch.amp.GradScaler(self._device, enabled=scaled)
        self.register_hooks([hooks.LRScheduler()])

    def run_step(self) -> None:
        """Draw the batches, sum their gradients, take one step; losses are logged as means."""
        self.optimizer.zero_grad()
        sums: dict[str, Tensor] = {}
        data_time = 0.0
        for last in [False] * (self.accumulate - 1) + [True]:
            start = time.perf_counter()
            batch = next(self._data_loader_iter)
            data_time += time.perf_counter() - start
            with self._unsynced(last):
                losses = self._backward(batch)
            sums = {name: sums.get(name, 0) + value for name, value in losses.items()}
        self._write_metrics({k: v / self.accumulate for k, v in sums.items()}, data_time)
        self._scaler.step(self.optimizer)
        self._scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """The state of ``SimpleTrainer``, and the gradient scale."""
        return {**super().state_dict(), "grad_scaler": self._scaler.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Inverse of ``state_dict``; accepts states of a ``SimpleTrainer``."""
        super().load_state_dict(state_dict)
        if state_dict.get("grad_scaler"):
            self._scaler.load_state_dict(state_dict["grad_scaler"])

    def _backward(self, batch: Any) -> dict[str, Tensor]:
        dtype = torch.float16 if self._device == "cuda" else torch.bfloat16
        with torch.autocast(self._device, dtype, enabled=self.mixed_precision):
            losses: dict[str, Any] = self.model(batch)
            total = sum(losses.values()) / self.accumulate
        self._scaler.scale(total).backward()
        return {name: value.detach() for name, value in losses.items()}

    def _unsynced(self, last: bool) -> AbstractContextManager[None]:
        """Processes exchange gradients once per iteration, with the last batch."""
        if not last and isinstance(self.model, DistributedDataParallel):
            return self.model.no_sync()
        return nullcontext()


def seeded_loop(
    cfg: CfgNode, model: nn.Module, dicts: list[dict[str, Any]], seed: int
) -> TrainLoop:
    """A training of ``model`` on records, before its first step; seeds the global generators."""
    seed_all_rng(seed)
    return TrainLoop(cfg, model, build_train_loader(cfg, dicts))


def train(
    cfg: CfgNode, model: nn.Module, dicts: list[dict[str, Any]], seed: int, *also: HookBase
) -> None:
    """Train ``model`` in place for SOLVER.MAX_ITER iterations on records.

    also: hooks in addition to that of the learning rate, which comes first. Raises
    ``FloatingPointError`` if the loss becomes non-finite.
    """
    loop = seeded_loop(cfg, model, dicts, seed)
    loop.register_hooks(also)
    loop.train(0, cfg.SOLVER.MAX_ITER)


def build_optimizer(cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
    """SGD over backbone and head; the head's rate is BASE_LR times SOLVER.HEAD_LR_FACTOR."""
    solver = cfg.SOLVER
    groups = []
    for part, factor in ((model.backbone, 1.0), (model.sem_seg_head, solver.HEAD_LR_FACTOR)):
        groups += get_default_optimizer_params(
            part,
            base_lr=solver.BASE_LR * factor,
            weight_decay_norm=solver.WEIGHT_DECAY_NORM,
            bias_lr_factor=solver.BIAS_LR_FACTOR,
            weight_decay_bias=solver.WEIGHT_DECAY_BIAS,
        )
    sgd = maybe_add_gradient_clipping(cfg, torch.optim.SGD)
    return sgd(
        groups,
        lr=solver.BASE_LR,
        momentum=solver.MOMENTUM,
        nesterov=solver.NESTEROV,
        weight_decay=solver.WEIGHT_DECAY,
    )
