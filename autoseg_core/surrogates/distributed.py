"""Counts summed over processes, so that a surrogate is that of the whole batch on all GPUs."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from autoseg_core.counts import Counts

AnyCounts = TypeVar("AnyCounts", bound=Counts)


def sum_over_processes(counts: AnyCounts) -> AnyCounts:
    """Counts summed over the default process group, with gradients; unchanged without a group.

    Every process must call it, equally often and with vectors of equal length, and every process
    must call backward: the gradients of all are summed, as if the loss were the sum over processes.
    If each process has the same loss, as here, logits get world-size times the gradient of that
    loss; averaged over processes, as DistributedDataParallel does with parameter gradients, this is
    the gradient of one process with the whole batch. ``torch.compile`` includes it in its graph, as
    a collective.
    """
    # Not is_initialized(), which torch.compile treats as a constant: a step compiled before the
    # group was made, or after it was destroyed, would not sum its counts.
    if not dist.is_available() or dist.group.WORLD is None or dist.get_world_size() == 1:
        return counts
    vectors = counts.tensors()
    total: Tensor = AllReduce.apply(torch.stack(vectors))
    return type(counts)(*total.unbind())


class AllReduce(torch.autograd.Function):
    """y = sum of x over processes; each x gets the sum of all gradients of y."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _summed(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total: Tensor = AllReduce.apply(gradients[0])  # differentiable itself
        return total


def _summed(x: Tensor) -> Tensor:
    total = x.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total
