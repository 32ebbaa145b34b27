"""Memory of one forward and backward pass: what is kept for backward, and the peak of a GPU."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def kept_bytes(forward: Callable[[], Tensor], *held: Tensor) -> int:
    """Bytes of all storages that autograd keeps between ``forward`` and backward.

    A storage counts once, whole, however many views of it are kept, and also if the network holds
    it as well (the logits themselves). Those of ``held``, such as labels, do not count.
    """
    storages: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> None:
        # The storage is held, or its address could be given to the next tensor. The graph gets
        # nothing: with the tensor itself it would hold itself wherever an output is kept, for good.
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda nothing: nothing):
        result = forward()
    for tensor in held:
        storages.pop(tensor.untyped_storage().data_ptr(), None)
    total = sum(storage.nbytes() for storage in storages.values())
    del result
    return total


def peak_bytes(step: Callable[[], object]) -> int:
    """Most bytes that ``step`` takes on the GPU beside those there before."""
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    step()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before
