"""Lean boundary counts: logits -> boundary (matches), keeping the logits and two label maps.

N: images; C: classes; H, W: pixels; G: curves; K: control points. Same counts and gradients as
``surrogates.boundaries.soft_boundary_counts``, which keeps some 26 times the logits for backward.
Softmax, erosion and edges are computed a second time in backward; both passes run over chunks of
images and classes, so that what lies between two operations stays in the processor's cache.

Given where each dilation takes its maximum from, the counts are linear in the soft edges E:
    prediction = sum E,   matched prediction = sum near E,   matched target = sum peaks E,
with near = the dilated truth edges and peaks = how many truth edge pixels see their highest soft
edge at this pixel. Forward keeps the positions of these peaks, so backward needs slopes only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from autoseg_core.counts import BoundaryCounts
from autoseg_core.metrics.boundaries import class_sets, dilate_sets, label_edges
from autoseg_core.numerics import working_dtype
from autoseg_core.surfaces import get_surface
from autoseg_core.surrogates.boundaries import (
    FREE_CURVES,
    check_curve_names,
    soft_boundary_counts,
)
from autoseg_core.surrogates.kernels.boundary_curves import PIECES, FastCurve, edge_form
from autoseg_core.surrogates.kernels.boundary_maps import (
    Erosion,
    count_peaks,
    find_peaks,
    has_class,
)
from autoseg_core.surrogates.regions import Curve

CHUNK_ON_HOST = 2**17  # elements: 0.5 MB in float32, a few of which fit into a core's cache
CHUNK_ELSEWHERE = 2**22  # an accelerator wants few and large launches; 16 MB each


@dataclass(frozen=True)
class Settings:
    """What does not change over a call: the surface, the names of its curves, the tolerance."""

    surface: str
    names: tuple[str, ...]
    tolerance: int


def boundary_counts(
    logits: Tensor,
    target: Tensor,
    mask: Tensor,
    points: Tensor,
    surface: str,
    tolerance: int,
    names: tuple[str, ...] = FREE_CURVES,
) -> BoundaryCounts:
    """Count boundary pixels with curves in place of logic.

    logits: (N, C, H, W) of any float dtype. target: (N, H, W) int64, in [0, C) wherever ``mask``
    (N, H, W) bool is true; logits elsewhere, even NaN, reach neither counts nor gradients. points:
    (G, K, 2) control points of the curves ``names``. surface: a name of ``surfaces.SURFACES``.
    tolerance: pixels. Returns counts (C,), float64 for float64 logits and float32 for others.

    Kept for backward: the logits and 8 bytes a pixel. The readable reference, with its memory, does
    the work for points that require a gradient, and for surfaces that have no fast pieces here.
    Raises ``ValueError`` for unknown surfaces or curves and for points that do not fit them;
    gradients of gradients raise ``RuntimeError``.
    """
    settings = Settings(surface, check_curve_names(names), tolerance)
    if points.ndim != 3 or len(points) != len(names):
        raise ValueError(
            f"Expected control points of shape ({len(names)}, K, 2) for the curves "
            f"({', '.join(names)}), got {tuple(points.shape)}."
        )
    if points.requires_grad or surface not in PIECES:
        return _readable(logits, target, mask, points, settings)
    labels = torch.where(mask, target, -1).int().contiguous()
    return BoundaryCounts(*_SoftEdgeSums.apply(logits, labels, points, settings).unbind())


def _readable(
    logits: Tensor, target: Tensor, mask: Tensor, points: Tensor, settings: Settings
) -> BoundaryCounts:
    known = torch.where(mask[:, None], logits, torch.zeros_like(logits))
    probability = known.to(working_dtype(logits.dtype)).softmax(dim=1)
    value = get_surface(settings.surface).value
    curves: dict[str, Curve] = {
        name: partial(value, curve.to(probability.dtype))
        for name, curve in zip(settings.names, points, strict=True)
    }
    return soft_boundary_counts(probability, target, mask, curves, settings.tolerance)


def _readable_gradient(
    logits: Tensor, labels: Tensor, points: Tensor, settings: Settings, grad: Tensor
) -> Tensor:
    counts = _readable(logits, labels.long(), labels >= 0, points, settings)
    sums = torch.stack(counts.tensors())
    (gradient,) = torch.autograd.grad(sums, logits, grad, create_graph=True)
    return gradient


class _SoftEdgeSums(torch.autograd.Function):
    """The fields of ``BoundaryCounts``, (4, C), from logits and labels (N, H, W) int32, -1 void."""

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, labels: Tensor, points: Tensor, settings: Settings
    ) -> Tensor:
        dtype = working_dtype(logits.dtype)
        sums = torch.zeros(4, logits.shape[1], dtype=dtype, device=logits.device)
        peaks = torch.full_like(labels, -1)
        curves = _curves(points, settings, dtype)
        for images, kinds in _chunks(logits):
            scene = _Scene(logits[images], labels[images], settings.tolerance)
            for classes in kinds:
                soft = scene.soft_edges(classes, curves, settings)
                find_peaks(soft, scene.truth, classes, settings.tolerance, peaks[images])
                sums[:, classes] += _sums(soft, *scene.weights(classes, peaks[images]))
        ctx.save_for_backward(logits, labels, peaks, points)
        ctx.settings = settings
        return sums

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        logits, labels, peaks, points = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph=True: this gradient will be differentiated
            return _readable_gradient(logits, labels, points, ctx.settings, grad), None, None, None
        result = torch.empty_like(logits)
        curves = _curves(points, ctx.settings, grad.dtype)
        for images, kinds in _chunks(logits):
            scene = _Scene(logits[images], labels[images], ctx.settings.tolerance)
            of_p = torch.zeros_like(scene.probability)
            for classes in kinds:
                if _worth_a_look(grad[:, classes]):
                    weights = scene.weights(classes, peaks[images])
                    of_edges = _edge_gradient(grad[:, classes], *weights)
                    of_p[:, classes] = scene.gradient(classes, of_edges, curves, ctx.settings)
            result[images] = _softmax_gradient(scene, of_p)
        return result, None, None, None


class _Scene:
    """What the chunks of some images share: probabilities, valid pixels, truth edges.

    logits: (n, C, H, W); labels: (n, H, W) int32, -1 at void.
    """

    def __init__(self, logits: Tensor, labels: Tensor, tolerance: int) -> None:
        seen, classes = labels >= 0, logits.shape[1]
        probability = logits.to(working_dtype(logits.dtype)).softmax(dim=1)
        # The neutral element of erosion, and nothing of what the network says there.
        self.probability = probability.masked_fill_(~seen[:, None], 1.0)
        self.valid = seen[:, None].to(probability.dtype)
        edges = label_edges(labels, seen, classes)
        self.truth = torch.where(edges, labels, -1)
        self.near = dilate_sets(class_sets(labels.long(), edges, classes), tolerance)

    def soft_edges(self, classes: slice, curves: list[FastCurve], settings: Settings) -> Tensor:
        """XOR of each pixel and its erosion, 0 at void; (n, k, H, W)."""
        p = self.probability[:, classes]
        return edge_form(settings.names).height(curves, p, Erosion(p).value).mul_(self.valid)

    def weights(self, classes: slice, peaks: Tensor) -> tuple[Tensor, Tensor]:
        """near and peaks of the module's formulas, (n, k, H, W) each."""
        dtype = self.probability.dtype
        return has_class(self.near, classes, dtype), count_peaks(peaks, self.truth, classes, dtype)

    def gradient(
        self, classes: slice, of_edges: Tensor, curves: list[FastCurve], settings: Settings
    ) -> Tensor:
        """Gradient in the probabilities from the gradient in the soft edges, (n, k, H, W)."""
        p = self.probability[:, classes]
        erosion = Erosion(p)
        of_p, of_e = edge_form(settings.names).slopes(curves, p, erosion.value)
        of_edges = of_edges.mul_(self.valid)
        return of_p.mul_(of_edges).add_(erosion.gradient(of_e.mul_(of_edges)))


def _curves(points: Tensor, settings: Settings, dtype: torch.dtype) -> list[FastCurve]:
    return [FastCurve(settings.surface, curve) for curve in points.to(dtype)]


def _sums(soft: Tensor, near: Tensor, peaks: Tensor) -> Tensor:
    """The four counts of a chunk, (4, k). Every truth edge has one peak: they add up to target."""
    maps = (peaks, peaks * soft, soft, near.mul_(soft))
    return torch.stack([values.sum(dim=(0, 2, 3)) for values in maps])


def _edge_gradient(grad: Tensor, near: Tensor, peaks: Tensor) -> Tensor:
    """Gradient in the soft edges (n, k, H, W) from that in the counts, (4, k)."""
    _, matched_target, prediction, matched_prediction = grad[:, :, None, None].unbind()
    found = peaks.mul_(matched_target)
    return near.mul_(matched_prediction).add_(prediction).add_(found)


def _softmax_gradient(scene: _Scene, of_p: Tensor) -> Tensor:
    """dlogit_c = p_c (dp_c - sum_k p_k dp_k), 0 at void."""
    p = scene.probability
    mean = (p * of_p).sum(dim=1, keepdim=True)
    return of_p.sub_(mean).mul_(p).mul_(scene.valid)


def _worth_a_look(grad: Tensor) -> bool:
    """Whether a chunk has any gradient: absent classes have none. Asked on the host only."""
    return grad.device.type != "cpu" or bool(grad.any())


def _chunks(logits: Tensor) -> Iterator[tuple[slice, list[slice]]]:
    """Ranges of images, and for each the ranges of classes, of about one chunk together."""
    images, classes, height, width = logits.shape
    limit = CHUNK_ON_HOST if logits.device.type == "cpu" else CHUNK_ELSEWHERE
    planes = max(1, limit // max(1, height * width))
    for part in _ranges(images, max(1, planes // max(1, classes))):
        yield part, list(_ranges(classes, planes))


def _ranges(total: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, total)) for start in range(0, total, size))
