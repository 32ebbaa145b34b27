"""Scale a loss so that it trains at the learning rate of another one.

A surrogate is a ratio of sums over the batch, so its gradient is some tens of times smaller than
that of cross entropy, by a factor that differs from metric to metric and from curve to curve. At
the learning rate of cross entropy it then hardly trains.

N: images; C: classes; H, W: pixels; P: pixels that are not void.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from autoseg_core.numerics import working_dtype
from autoseg_core.surrogates.loss import AutoSegLoss

Loss = Callable[[Tensor, Tensor], Tensor]


def gradient_scale(
    loss: Loss,
    batches: Iterable[tuple[Tensor, Tensor]],
    parameters: Iterable[Tensor] | None = None,
    reference: Loss | None = None,
) -> float:
    """The factor that makes the gradient of ``loss`` as large as that of ``reference``.

    "Large" is the L2 norm of the gradient of a batch, averaged over the batches. With the
    ``parameters`` of a network it is the gradient in them, of which SGD makes its steps: the
    scaled loss then moves the weights as far as the reference. Without them it is the gradient g in
    the logits. What reaches the parameters is J^T g, with J the Jacobian of the network, and grows
    with the L2 norm of g, but not only with it: where the network is random, the gradients of
    cross entropy add up over the pixels of frequent classes, and those of mAcc, few and large,
    hardly do. The factor is then too small, by ten for mAcc in one case. The mean is one of norms,
    because the optimiser steps batch by batch; in a mean of squares the largest would decide.

    Args:
        loss: a loss; of an ``AutoSegLoss`` that has a scale already, the factor comes on top.
        batches: (logits (N, C, H, W), target (N, H, W)), as ``loss`` takes them. Take the logits
            of the network with which the training starts, on about ten batches of that training.
        parameters: of that network, ``model.parameters()``; the logits then must have been
            computed from them with gradients, without autocast. Those without gradient are left
            out.
        reference: what to compare with. None: the mean cross entropy of the valid pixels, binary
            under "sigmoid", with the void labels and upsampling of ``loss``, an ``AutoSegLoss``.

    Returns:
        A positive number, computed in float64 from gradients in float32 (float64 for float64
        logits). ``loss.spec.scaled(factor)`` is the spec of the scaled loss.

    Raises ``ValueError`` without batches, for a gradient that is 0 on all of them or not finite,
    and for another loss than an ``AutoSegLoss`` without a reference.
    """
    other = _cross_entropy_for(loss) if reference is None else reference
    trained = None if parameters is None else [p for p in parameters if p.requires_grad]
    norms = [(_norm(loss, *batch, trained), _norm(other, *batch, trained)) for batch in batches]
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
        f"Expected a reference for {type(loss).__name__}, got None: void labels are known of an "
        "AutoSegLoss only. Give torch.nn.CrossEntropyLoss(ignore_index=...)."
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


def _norm(loss: Loss, logits: Tensor, target: Tensor, parameters: Sequence[Tensor] | None) -> float:
    """L2 norm of the gradient in all parameters together; None: in the logits."""
    values = logits.to(working_dtype(logits.dtype))  # small gradients would be 0 in half precision
    if parameters is None:
        values = values.detach().requires_grad_()
        parameters = [values]
    with torch.enable_grad():
        gradients = torch.autograd.grad(
            loss(values, target), parameters, retain_graph=True, allow_unused=True
        )
    used = [torch.linalg.vector_norm(g, dtype=torch.float64) for g in gradients if g is not None]
    return math.hypot(*map(float, used))


def _check_norm(name: str, norm: float) -> None:
    if norm == 0:
        hint = (
            "It is flat there. Take batches with valid pixels of several classes, and logits of a "
            "network that cross entropy has trained for a while, or another loss"
        )
    else:
        hint = "Look for NaN or infinite values in the logits"
    if not 0 < norm < math.inf:
        raise ValueError(
            f"Expected a positive finite gradient of the {name}, got the mean norm {norm}. {hint}."
        )
