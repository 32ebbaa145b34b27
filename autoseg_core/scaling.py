"""Scale a loss so that it trains at the learning rate of another one.

A surrogate is a ratio of sums over the batch, so its gradient is tens of times smaller than that of
cross entropy, by a factor that differs between metrics and between curves. At the learning rate of
cross entropy it therefore hardly trains.

N: images; C: classes; H, W: pixels; P: pixels that are not void.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from autoseg_core.numerics import working_dtype
from autoseg_core.surrogates.loss import AutoSegLoss

Loss = Callable[[Tensor, Tensor], Tensor]


def gradient_scale(
    loss: Loss, batches: Iterable[tuple[Tensor, Tensor]], reference: Loss | None = None
) -> float:
    """The factor that makes the gradient of ``loss`` as large as that of ``reference``.

    "Large" is the L2 norm of the gradient g with respect to all logits of a batch, averaged over
    the batches. The parameters get J^T g. J, the Jacobian of the network, is the same for both
    losses, so their steps are equally large if g has no preferred direction in J. The largest entry
    of g, in contrast, would be that of one pixel of a rare class. Norms, not squares, are averaged
    because the optimiser steps batch by batch; in a mean of squares the largest would dominate.

    The factor holds for the network that made the logits. A loss that is flatter there than later,
    such as one whose curves have a small slope at the uncertain predictions of random weights, gets
    a factor too large for the rest of the training; use logits after some iterations then.

    Args:
        loss: a loss; for an ``AutoSegLoss`` with a scale, the factor multiplies that scale.
        batches: (logits (N, C, H, W), target (N, H, W)), as ``loss`` takes them. Use the logits
            of the network at the start of training, on about ten batches of that training. If the
            network upsamples its logits, use those before upsampling, and build the loss with
            ``upsample="bilinear"``: the gradient there is what reaches the parameters.
        reference: the loss to match. None: the mean cross entropy of the valid pixels, binary
            under "sigmoid", with the void labels and upsampling of ``loss``, an ``AutoSegLoss``.

    Returns:
        A positive number, computed in float64 from gradients in float32 (float64 for float64
        logits). ``loss.spec.scaled(factor)`` is the spec of the scaled loss.

    Raises ``ValueError`` without batches, for a gradient that is 0 on all of them or not finite,
    and without a reference if the loss is not an ``AutoSegLoss``.
    """
    other = _cross_entropy_for(loss) if reference is None else reference
    norms = [(_norm(loss, *batch), _norm(other, *batch)) for batch in batches]
    if not norms:
        raise ValueError("Expected at least one batch (logits, target), got none.")
    own, wanted = (math.fsum(column) for column in zip(*norms, strict=True))
    for name, total in (("loss", own), ("reference", wanted)):
        _check_norm(name, total / len(norms))
    return wanted / own


def _cross_entropy_for(loss: Loss) -> Loss:
    if isinstance(loss, AutoSegLoss):
        return lambda logits, target: _cross_entropy(loss, logits, target)
    raise ValueError(
        f"Expected a reference for {type(loss).__name__}, got None: only an AutoSegLoss states "
        "its void labels. Pass torch.nn.CrossEntropyLoss(ignore_index=...)."
    )


def _cross_entropy(loss: AutoSegLoss, logits: Tensor, target: Tensor) -> Tensor:
    """Mean over the P valid pixels (under "sigmoid" over their classes too); 0 where P = 0."""
    batch = loss.batch(logits, target)
    valid, values = batch.valid, batch.upsampled()
    labels = batch.target[valid]
    if batch.activation == "sigmoid":
        chosen = values[valid]
        total = F.binary_cross_entropy_with_logits(chosen, labels.to(chosen), reduction="sum")
    else:
        chosen = values.movedim(1, -1)[valid]  # (P, C): a NaN in void pixels changes nothing
        total = F.cross_entropy(chosen, labels.long(), reduction="sum")
    return total / max(1, len(labels))


def _norm(loss: Loss, logits: Tensor, target: Tensor) -> float:
    """L2 norm of the gradient by the logits, not in half precision, where small ones would be 0."""
    with torch.inference_mode(False), torch.enable_grad():
        # Copies: tensors made in inference mode cannot be part of a graph.
        leaf = logits.detach().to(working_dtype(logits.dtype), copy=True).requires_grad_()
        (gradient,) = torch.autograd.grad(loss(leaf, target.clone()), leaf)
    return float(torch.linalg.vector_norm(gradient.cpu(), dtype=torch.float64))


def _check_norm(name: str, norm: float) -> None:
    if not 0 < norm < math.inf:
        raise ValueError(
            f"Expected a positive finite gradient of the {name}, got the mean norm {norm}. Use "
            "batches with valid pixels of several classes, and finite logits of a network trained "
            "with cross entropy for a while."
        )
