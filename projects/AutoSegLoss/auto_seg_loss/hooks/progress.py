"""Learning rates, throughput and memory."""

from __future__ import annotations

import resource
import sys
from typing import Any

import torch
from detectron2.engine import HookBase

_MIB = 2**20


def ends_period(trainer: Any, period: int) -> bool:
    """Whether the iteration ends a period, or the training; always False with period 0."""
    done = trainer.iter + 1
    return period > 0 and (done % period == 0 or done == trainer.max_iter)


class Progress(HookBase):
    """Logs, every ``period`` iterations and after the last:

    - lr/<part>: the learning rate of the iteration, of each part of the model;
    - speed/images_per_second: of all processes together, by the mean "time" of the last ``period``
      iterations, which Detectron2's ``IterationTimer`` measures from the third one on;
    - memory/host_peak_MiB: peak RAM of the process; memory/cuda_peak_MiB: peak memory of tensors on
      its GPU.

    It must come after that timer. batch: images per iteration, of all processes. period 0: nothing.
    """

    def __init__(self, period: int, batch: int) -> None:
        self._period, self._batch = period, batch

    def before_train(self) -> None:
        """Find the parameter group of the first weight of each part (child module) of the model."""
        groups, model = self.trainer.optimizer.param_groups, self.trainer.model
        of = {id(weight): i for i, group in enumerate(groups) for weight in group["params"]}
        parts = getattr(model, "module", model).named_children()
        first = {name: next(iter(part.parameters()), None) for name, part in parts}
        self._groups = {name: of[id(one)] for name, one in first.items() if id(one) in of}

    def before_step(self) -> None:
        groups = self.trainer.optimizer.param_groups
        self._rates = {f"lr/{name}": groups[index]["lr"] for name, index in self._groups.items()}

    def after_step(self) -> None:
        if not ends_period(self.trainer, self._period):
            return
        storage, values = self.trainer.storage, dict(self._rates)
        if "time" in storage.histories():
            seconds = storage.history("time").avg(self._period)
            values["speed/images_per_second"] = self._batch / seconds
        unit = 1 if sys.platform == "darwin" else 1024
        peak = unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        values["memory/host_peak_MiB"] = peak / _MIB
        if torch.cuda.is_available():
            values["memory/cuda_peak_MiB"] = torch.cuda.max_memory_allocated() / _MIB
        storage.put_scalars(**values, smoothing_hint=False)
