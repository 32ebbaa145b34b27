"""AutoSegLoss: a spec as a torch module.

N: images; C: classes; H, W: pixels; G: curves of a term; K: control points of a curve.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from autoseg_core.counts import Counts
from autoseg_core.metrics.boundaries import near_boundary
from autoseg_core.numerics import working_dtype
from autoseg_core.scores import AbsentRule, Band, get_metric, present_classes
from autoseg_core.spec import LossSpec, LossTerm
from autoseg_core.surfaces import get_surface
from autoseg_core.surrogates.bands import soft_band_counts
from autoseg_core.surrogates.boundaries import soft_boundary_counts
from autoseg_core.surrogates.combined import combined_loss
from autoseg_core.surrogates.regions import Curve, soft_region_counts

_ABSENT: dict[str, AbsentRule] = {"ignore": "target", "zero": "none"}


class AutoSegLoss(nn.Module):
    """Sum over the terms of ``weight * (1 - surrogate score of the batch)``, or 1 - their product.

    At one-hot predictions each surrogate equals its exact metric, whatever the control points; with
    identity curves mIoU is the soft Jaccard loss and mAcc is 1 - mean probability of the true
    class. The score is a ratio of sums over the whole batch, not a mean over pixels: its gradient
    depends on what else is in the batch. (ASL, arXiv 2010.07930.)

    spec: what to compute. ignore_index: target value of void pixels; they change nothing.
    Control points are buffers ``points_<term>`` of shape (G, K, 2): ``.to()`` moves them and
    ``state_dict`` holds them. Loading a state with other points is an error: the spec says what the
    loss is, and a checkpoint must not change it unseen.
    """

    def __init__(self, spec: LossSpec, ignore_index: int = 255) -> None:
        super().__init__()
        self.spec = spec
        self.ignore_index = ignore_index
        for index, term in enumerate(spec.terms):
            points = torch.tensor(term.control_points, dtype=torch.float64)
            self.register_buffer(f"points_{index}", points)
        self.register_load_state_dict_pre_hook(_refuse_other_points)  # type: ignore[no-untyped-call]

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a scalar in float32 (float64 for float64 logits).

        logits: (N, C, H, W) float of any precision. target: (N, H, W) int64, in [0, C) or
        ``ignore_index``. A batch of void pixels alone gives 0 with a graph and zero gradients.
        Raises ``ValueError`` for other shapes or dtypes, and for labels outside the classes (on
        CUDA, where looking would stall the stream, an assertion on the device).
        """
        _check_input(logits, target, self.ignore_index)
        mask = target != self.ignore_index
        # Zeros in place of void logits: even a NaN there must reach neither sums nor gradients.
        known = torch.where(mask[:, None], logits, torch.zeros_like(logits))
        probability = known.to(working_dtype(logits.dtype)).softmax(dim=1)
        return combined_loss(self.spec, self.scores(probability, target, mask))

    def scores(self, probability: Tensor, target: Tensor, mask: Tensor) -> list[Tensor]:
        """Surrogate score of every term: scalars, 1 where a term finds no class to look at.

        probability: (N, C, H, W) float32 or float64 in [0, 1]. target: (N, H, W) int64, in [0, C)
        wherever ``mask`` (N, H, W) bool is true.
        """
        scores = []
        for index, term in enumerate(self.spec.terms):
            counts = soft_counts(
                term, self.get_buffer(f"points_{index}"), probability, target, mask
            )
            metric = get_metric(term.metric)
            rule = _ABSENT[term.absent]
            present = present_classes(metric, counts, rule, term.drop_background)
            seen = present_classes(metric, counts, "target", term.drop_background).any()
            score = metric.score(counts, present)
            scores.append(torch.where(seen, score, torch.ones_like(score)))
        return scores

    def extra_repr(self) -> str:
        """The spec's name and metrics, for ``print(loss)``."""
        join = " + " if self.spec.combine == "sum" else " * "
        terms = join.join(f"{t.weight:g} {t.metric}" for t in self.spec.terms)
        return f"{self.spec.name}: {terms}, ignore_index={self.ignore_index}"


def soft_counts(
    term: LossTerm, points: Tensor, probability: Tensor, target: Tensor, mask: Tensor
) -> Counts:
    """Counts of one term: the expensive part, before any ratio is taken.

    points: (G, K, 2), differentiable. probability: (N, C, H, W) float. target: (N, H, W) int64.
    mask: (N, H, W) bool, valid pixels. Returns (C,) counts; those of several batches or processes
    may be added before they are scored.
    """
    metric = get_metric(term.metric)
    value = get_surface(term.surface).value
    points = points.to(probability.dtype)
    curves: dict[str, Curve] = {
        name: partial(value, curve) for name, curve in zip(metric.curves, points, strict=True)
    }
    if metric.region == "boundary":
        return soft_boundary_counts(probability, target, mask, curves, term.tolerance)
    if isinstance(metric.region, Band):
        return soft_band_counts(probability, target, mask, curves, metric.region)
    if metric.region == "trimap":
        classes = probability.shape[1]
        mask = mask & near_boundary(target, mask, classes, term.tolerance, term.drop_background)
    return soft_region_counts(probability, target, mask, curves)


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
    for name, points in loss.named_buffers():
        other = state.get(prefix + name)
        if other is not None and not torch.equal(other.to(points), points):
            errors.append(
                f"{prefix}{name} holds other control points than the spec {loss.spec.name!r}; "
                "build the loss from the spec it was saved with, or leave its keys out."
            )
            state[prefix + name] = points  # torch copies what it can before it raises


def _check_input(logits: Tensor, target: Tensor, ignore_index: int) -> None:
    if logits.ndim != 4 or not logits.is_floating_point():
        raise ValueError(
            "Expected logits of shape (N, C, H, W) and a float dtype, "
            f"got {tuple(logits.shape)} and {logits.dtype}."
        )
    expected = (logits.shape[0], *logits.shape[2:])
    if target.shape != expected or target.dtype != torch.int64:
        raise ValueError(
            f"Expected an int64 target of shape {tuple(expected)} for logits "
            f"{tuple(logits.shape)}, got {target.dtype} of shape {tuple(target.shape)}."
        )
    classes = logits.shape[1]
    bad = ((target < 0) | (target >= classes)) & (target != ignore_index)
    if target.device.type == "cpu":
        if bad.any():
            raise ValueError(
                f"The target holds labels {sorted(set(target[bad].tolist()))[:10]} outside the "
                f"classes 0..{classes - 1}; void pixels must be {ignore_index} (ignore_index)."
            )
    elif target.is_cuda:
        torch._assert_async(
            ~bad.any(), f"A target label lies outside the classes 0..{classes - 1}."
        )
