"""Several candidates at once: heads on frozen features, stacked and trained on the same batches.

Candidates that share a seed see the same images in the same order, so they can share one pass over
a batch. For the training loop a stack is one network: its weights have a leading dimension S, and
one optimiser updates them all. Meant for GPUs, which a single small head does not keep busy; on a
CPU a stack is slower than its candidates one after the other.

S: candidates; N: images; C: classes; h, w: pixels of the logits.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, vmap

from auto_seg_loss.modeling.any_loss import AnyLoss, Features, loss_at
from auto_seg_loss.runtime.log_levels import logs_off
from auto_seg_loss.runtime.random_states import undisturbed
from auto_seg_loss.train_loop import seeded_loop
from rl.proxy import ProxyResult, failed
from rl.shares import check_budget

if TYPE_CHECKING:
    from auto_seg_loss.proxy import DetectronProxy


class StackedHeads(nn.Module):
    """S copies of a head, each trained with a loss of its own.

    The gradient of a copy is that of its own loss; non-finite weights do not affect other copies.
    ``failed`` (S,) bool: copies whose loss has been infinite or NaN.

    head: without an auxiliary head. losses: S of them.
    """

    failed: Tensor

    def __init__(self, head: AnyLoss, losses: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = _Layers(head)
        self.losses = nn.ModuleList(losses)
        _repeat(self.layers, len(losses))
        device = next(self.layers.parameters()).device
        self.register_buffer("failed", torch.zeros(len(losses), dtype=torch.bool, device=device))

    def forward(self, features: Features, targets: Tensor) -> tuple[None, dict[str, Tensor]]:
        """None and the sum of the losses, for training; those that are not finite count as 0."""
        weights = {**dict(self.layers.named_parameters()), **dict(self.layers.named_buffers())}
        call = partial(functional_call, self.layers)
        # Copies drop the same activations, but not those that each would drop alone.
        logits = vmap(call, in_dims=(0, None), randomness="same")(weights, (features,))
        stride = self.layers.head.common_stride
        pairs = zip(self.losses, logits, strict=True)
        values = torch.stack([loss_at(loss, own, stride, targets) for loss, own in pairs])
        broken = ~values.isfinite()
        self.failed |= broken
        total = values.masked_fill(broken, 0).sum()
        return None, {"loss_sem_seg": self.layers.head.loss_weight * total}

    def state(self, number: int) -> dict[str, Tensor]:
        """The state dict of one copy."""
        return {name: own[number] for name, own in self.layers.head.state_dict().items()}


class _Layers(nn.Module):
    """A copy of a head, without its loss, that gives logits (N, C, h, w)."""

    def __init__(self, head: AnyLoss) -> None:
        super().__init__()
        self.head = copy.deepcopy(head)
        self.head.loss = nn.Identity()

    def forward(self, features: Features) -> Tensor:
        return self.head.layers(features)


def _repeat(network: nn.Module, times: int) -> None:
    """Give every parameter and buffer a leading dimension, in place; module types do not change."""
    for module in network.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            own = torch.stack([weight.detach()] * times)
            setattr(module, name, nn.Parameter(own, requires_grad=weight.requires_grad))
        for name, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, name, torch.stack([buffer] * times))


def evaluate_stacked(
    proxy: DetectronProxy, thetas: Sequence[NDArray[np.float64]], seed: int, budget: float = 1.0
) -> list[ProxyResult]:
    """The results of ``DetectronProxy.evaluate`` for each of S thetas (d,), up to rounding.

    A head with dropout drops other activations in a stack, so its results differ randomly.
    """
    results: dict[int, ProxyResult] = {}
    iterations = proxy.iterations(check_budget(budget))
    losses: dict[int, nn.Module] = {}
    for number, theta in enumerate(thetas):
        try:
            losses[number] = proxy.loss(theta)
        except ValueError as error:  # flat at the start of training
            results[number] = failed(str(error))
    if losses:
        heads = train_stacked(proxy, list(losses.values()), seed, iterations)
        for copy_number, number in enumerate(losses):
            if heads.failed[copy_number]:
                results[number] = failed("the loss became infinite or NaN")
            else:
                proxy.model.sem_seg_head.load_state_dict(heads.state(copy_number))
                results[number] = proxy.result(proxy.model)
    return [results[number] for number in range(len(thetas))]


def train_stacked(
    proxy: DetectronProxy, losses: Sequence[nn.Module], seed: int, iterations: int
) -> StackedHeads:
    """Heads from the start of ``proxy``, each trained for this many iterations with its loss."""
    proxy.model.load_state_dict(proxy.start)
    network: Any = copy.deepcopy(proxy.model)
    network.sem_seg_head = heads = StackedHeads(proxy.model.sem_seg_head, losses)
    with logs_off(), undisturbed(proxy.cfg.MODEL.DEVICE):
        seeded_loop(proxy.cfg, network, proxy.search, seed).train(0, iterations)
    return heads
