"""AutoSegLoss: a spec as a torch module.

N: images; C: classes; H, W: pixels; G: curves of a term; K: control points of a curve.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from autoseg_core.counts import Counts
from autoseg_core.metrics.boundaries import near_boundary
from autoseg_core.numerics import working_dtype
from autoseg_core.scores import AbsentRule, Band, get_metric, present_classes
from autoseg_core.spec import LossSpec, LossTerm
from autoseg_core.surfaces import get_surface
from autoseg_core.surrogates.bands import soft_band_counts
from autoseg_core.surrogates.combined import combined_loss
from autoseg_core.surrogates.distributed import sum_over_processes
from autoseg_core.surrogates.inputs import as_labels, check_choices, check_input
from autoseg_core.surrogates.kernels import Backend
from autoseg_core.surrogates.kernels.boundary import boundary_counts, readable_boundary_counts
from autoseg_core.surrogates.regions import Activation, Curve, complete_curves, soft_region_counts

Self = TypeVar("Self", bound="AutoSegLoss")

_ABSENT: dict[str, AbsentRule] = {"ignore": "target", "zero": "none"}


class AutoSegLoss(nn.Module):
    """Sum over the terms of ``weight * (1 - surrogate score of the batch)``, or 1 - their product.

    At one-hot predictions each surrogate equals its exact metric, whatever the control points; with
    identity curves mIoU is the soft Jaccard loss and mAcc is 1 - mean probability of the true
    class. The score is a ratio of sums over the whole batch, not a mean over pixels: its gradient
    depends on what else is in the batch. (ASL, arXiv 2010.07930.)

    Args:
        spec: what to compute.
        ignore_index: target value of void pixels; they change nothing.
        activation: "softmax": a pixel has one class; "sigmoid": classes do not exclude each other
            (multi-label, or binary with C = 1), region metrics only.
        per_image: score each image by itself, and average; else the batch as a whole.
        sync: sum the counts over all processes, so that the loss is that of the whole batch
            (``distributed.sum_over_processes``); every process must then take part in every step.
        backend: of region metrics: "reference", "fused", "compiled", or "auto" (``kernels``).
            Second derivatives, forward mode and ``torch.func.grad`` need "reference".

    Control points are buffers ``points_<term>`` of shape (G, K, 2) in float64: ``.to()`` moves them
    but does not round them, ``state_dict`` holds them. Loading a state with other points is an
    error: the spec says what the loss is, and a checkpoint must not change it unseen.
    """

    def __init__(
        self,
        spec: LossSpec,
        ignore_index: int = 255,
        *,
        activation: Activation = "softmax",
        per_image: bool = False,
        sync: bool = False,
        backend: Backend = "auto",
    ) -> None:
        super().__init__()
        check_choices(activation, backend, [get_metric(term.metric) for term in spec.terms])
        if per_image and sync:
            raise ValueError(
                "per_image=True scores every image by itself: there is nothing to sync."
            )
        self.spec = spec
        self.ignore_index = ignore_index
        self.activation = activation
        self.per_image = per_image
        self.sync = sync
        self.backend = backend
        for index, term in enumerate(spec.terms):
            self.register_buffer(f"points_{index}", _points(term).to(torch.get_default_device()))
        self.register_load_state_dict_pre_hook(_refuse_other_points)  # type: ignore[no-untyped-call]

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a scalar in float32 (float64 for float64 logits).

        logits: (N, C, H, W) float of any precision; region metrics also take volumes
        (N, C, D, H, W). target: (N, H, W) int64, in [0, C) or ``ignore_index``; under "sigmoid" 0,
        1 or ``ignore_index`` for each class, (N, C, H, W), or (N, H, W) for C = 1. A batch of void
        pixels alone gives 0 with a graph and zero gradients. Raises ``ValueError`` for other shapes
        or dtypes, soft labels among them, and for labels outside the classes (on CUDA, where
        looking would stall the stream, an assertion on the device).
        """
        target = check_input(
            [get_metric(term.metric) for term in self.spec.terms],
            logits,
            target,
            self.activation,
            self.ignore_index,
        )
        if not self.per_image:
            return self._loss(logits, target)
        losses = [self._loss(x, y) for x, y in zip(logits.split(1), target.split(1), strict=True)]
        return torch.stack(losses).mean() if losses else self._loss(logits, target)

    def scores(self, logits: Tensor, target: Tensor) -> list[Tensor]:
        """Surrogate score of every term on the batch: scalars, 1 where no class is seen.

        Arguments as ``forward`` checked them.
        """
        scores = []
        for index, term in enumerate(self.spec.terms):
            counts = soft_counts(
                term,
                self.get_buffer(f"points_{index}"),
                logits,
                target,
                self.ignore_index,
                self.activation,
                self.backend,
            )
            counts = sum_over_processes(counts) if self.sync else counts
            scores.append(_score(term, counts))
        return scores

    def extra_repr(self) -> str:
        """The spec's name and metrics, for ``print(loss)``."""
        join = " + " if self.spec.combine == "sum" else " * "
        terms = join.join(f"{t.weight:g} {t.metric}" for t in self.spec.terms)
        return f"{self.spec.name}: {terms}, ignore_index={self.ignore_index}"

    def _apply(self: Self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """What ``.to()``, ``.half()``, ``.cuda()`` and ``.to_empty()`` do: here, move the points.

        Points rounded to bfloat16 with the network, or left empty, would be another loss.
        """
        kept = {f"points_{i}": _points(term) for i, term in enumerate(self.spec.terms)}
        kept |= {name: b for name, b in self.named_buffers() if name in kept and not b.is_meta}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, points in kept.items():
            self._buffers[name] = points.to(self.get_buffer(name).device)
        return self

    def _loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return combined_loss(self.spec, self.scores(logits, target))


def soft_counts(
    term: LossTerm,
    points: Tensor,
    logits: Tensor,
    target: Tensor,
    ignore_index: int = 255,
    activation: Activation = "softmax",
    backend: Backend = "auto",
) -> Counts:
    """Counts of one term: the expensive part, before any ratio is taken.

    points: (G, K, 2). logits, target: as ``AutoSegLoss.forward`` checked them. Returns (C,) counts;
    those of several batches or processes may be added before they are scored.
    """
    metric, classes = get_metric(term.metric), logits.shape[1]
    mask = target != ignore_index
    if metric.region == "boundary":
        count = readable_boundary_counts if backend == "reference" else boundary_counts
        return count(logits, target, mask, points, term.surface, term.tolerance, metric.curves)
    if isinstance(metric.region, Band):
        return _band_counts(term, points, logits, target, mask)
    if metric.region == "trimap":
        mask = mask & near_boundary(target, mask, classes, term.tolerance, term.drop_background)
    labels = as_labels(target, mask, activation)
    points = complete_curves(metric.curves, points)
    return soft_region_counts(logits.flatten(2), labels, points, term.surface, activation, backend)


def _band_counts(
    term: LossTerm, points: Tensor, logits: Tensor, target: Tensor, mask: Tensor
) -> Counts:
    value, metric = get_surface(term.surface).value, get_metric(term.metric)
    dtype = working_dtype(logits.dtype)
    curves: dict[str, Curve] = {
        name: partial(value, curve)
        for name, curve in zip(metric.curves, points.to(dtype), strict=True)
    }
    # Zeros in place of void logits: even a NaN there must reach neither sums nor gradients.
    known = torch.where(mask[:, None], logits, torch.zeros_like(logits))
    assert isinstance(metric.region, Band)
    return soft_band_counts(known.to(dtype).softmax(1), target, mask, curves, metric.region)


def _score(term: LossTerm, counts: Counts) -> Tensor:
    metric = get_metric(term.metric)
    present = present_classes(metric, counts, _ABSENT[term.absent], term.drop_background)
    seen = present_classes(metric, counts, "target", term.drop_background).any()
    score = metric.score(counts, present)
    return torch.where(seen, score, torch.ones_like(score))


def _refuse_other_points(
    loss: AutoSegLoss,
    state: dict[str, Tensor],
    prefix: str,
    metadata: object,
    strict: bool,
    missing: list[str],
    unexpected: list[str],
    errors: list[str],
) -> None:
    for index, term in enumerate(loss.spec.terms):
        name, points = f"{prefix}points_{index}", _points(term)
        other = state.get(name)
        if other is None:
            continue
        if not torch.equal(other.cpu(), points.to(other.dtype)):
            errors.append(
                f"{name} holds other control points than the spec {loss.spec.name!r}; "
                "build the loss from the spec it was saved with, or leave its keys out."
            )
        # The spec's own: torch copies what it can before it raises, and rounded ones (a checkpoint
        # in half precision) are no improvement.
        state[name] = points.to(other.device)


def _points(term: LossTerm) -> Tensor:
    """Control points as the spec has them, (G, K, 2) float64 on the host."""
    return torch.tensor(term.control_points, dtype=torch.float64, device="cpu")
