"""A training loop without network or data: what the hooks see of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from detectron2.engine import HookBase, TrainerBase
from torch import nn


class Model(nn.Module):
    """Two parts with names of their own; the second has the loss."""

    def __init__(self, loss: nn.Module | None = None) -> None:
        super().__init__()
        self.backbone, self.sem_seg_head = nn.Linear(2, 2), nn.Linear(2, 2)
        self.sem_seg_head.loss = loss


class Loop(TrainerBase):
    """Detectron2's loop; a step calls ``step(loop)``."""

    def __init__(
        self, hooks: list[HookBase], model: nn.Module, step: Callable[[Any], None]
    ) -> None:
        super().__init__()
        self.model, self.step = model, step
        parts = [
            {"params": m.parameters(), "lr": lr}
            for m, lr in zip(model.children(), (0.1, 1), strict=True)
        ]
        self.optimizer = torch.optim.SGD(parts)
        self.register_hooks(hooks)

    def run_step(self) -> None:
        self.step(self)


class Log(HookBase):
    """Notes each scalar with the iterations at which it was put."""

    def __init__(self) -> None:
        self.scalars: dict[str, dict[int, float]] = {}

    def after_train(self) -> None:
        for name, history in self.trainer.storage.histories().items():
            self.scalars[name] = {int(at): value for value, at in history.values()}


@pytest.fixture
def train() -> Callable[..., Log]:
    """``train(hook, iterations)``: run the loop with the hook, and return what it has put."""

    def run(
        hook: HookBase,
        iterations: int,
        *,
        start: int = 0,
        model: nn.Module | None = None,
        step: Callable[[Any], None] = lambda loop: None,
        writers: Sequence[HookBase] = (),
    ) -> Log:
        log = Log()
        loop = Loop([hook, *writers, log], model or Model(), step)
        loop.train(start, iterations)
        return log

    return run


@pytest.fixture
def make_model() -> type[Model]:
    return Model
