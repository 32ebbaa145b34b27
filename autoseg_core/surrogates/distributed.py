"""Counts of all processes: what makes a surrogate that of the whole batch on several GPUs."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from autoseg_core.counts import Counts

AnyCounts = TypeVar("AnyCounts", bound=Counts)


def sum_over_processes(counts: AnyCounts) -> AnyCounts:
    """Counts summed over the default process group, with gradients; the same where there is none.

    Every process must call it, equally often and with vectors of one length, and every process
    must call backward: the gradients of all are summed, each process's loss being one addend. So
    where each process has the same loss, as here, logits get world-size times the gradient of that
    loss; the mean over processes, which DistributedDataParallel takes of its parameters' gradients,
    makes that the gradient of one process with the whole batch. ``torch.compile`` takes it into its
    graph, as a collective.
    """
    # Not is_initialized(), which torch.compile takes for a constant: a step compiled before the
    # group was made, or after it was left, would keep its counts to itself.
    if not dist.is_available() or dist.group.WORLD is None or dist.get_world_size() == 1:
        return counts
    vectors = counts.tensors()
    total: Tensor = _AllReduce.apply(torch.stack(vectors))
    return type(counts)(*total.unbind())


class _AllReduce(torch.autograd.Function):
    """y = sum of x over processes; each x gets the sum of all gradients of y."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _summed(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total: Tensor = _AllReduce.apply(gradients[0])  # again, for gradients of gradients
        return total


def _summed(x: Tensor) -> Tensor:
    total = x.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total
