"""The two passes of the lean boundary counts: logits -> sums of soft edges, and back.

n: images and k: classes of a chunk; N, C, H, W, G, K as in ``boundary``. Softmax, erosion and edges
are computed in both passes; each runs over chunks of images and classes, so that what lies between
two operations stays in the processor's cache.

Given where each dilation takes its maximum from, the counts are linear in the soft edges E:
    prediction = sum E,   matched prediction = sum near E,   matched target = sum peaks E,
with near = the dilated truth edges and peaks = how many truth edge pixels see their highest soft
edge at this pixel. Forward returns the positions of these peaks, and backward needs slopes only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from autoseg_core.metrics.boundaries import class_sets, dilate_sets, label_edges
from autoseg_core.numerics import working_dtype
from autoseg_core.surrogates.kernels.boundary_curves import FastCurve, edge_form
from autoseg_core.surrogates.kernels.boundary_maps import (
    Erosion,
    count_peaks,
    find_peaks,
    has_class,
)

CHUNK_ON_HOST = 2**17  # elements: 0.5 MB in float32, a few of which fit into a core's cache
CHUNK_ELSEWHERE = 2**22  # an accelerator wants few and large launches; 16 MB each


@dataclass(frozen=True)
class Settings:
    """What does not change over a call: the surface, the names of its curves, the tolerance."""

    surface: str
    names: tuple[str, ...]
    tolerance: int

    def curves(self, points: Tensor, dtype: torch.dtype) -> list[FastCurve]:
        """Curves of control points (G, K, 2), for values of ``dtype``."""
        return [FastCurve(self.surface, curve, dtype) for curve in points]


def forward(
    logits: Tensor, labels: Tensor, points: Tensor, settings: Settings
) -> tuple[Tensor, Tensor]:
    """The fields of ``BoundaryCounts``, (4, C), and the peaks, (N, H, W) int32.

    logits: (N, C, H, W). labels: (N, H, W) int32, -1 at void. points: (G, K, 2). A peak is the
    position y W + x of the soft edge that stands for a truth edge pixel's dilation, -1 elsewhere.
    """
    dtype = working_dtype(logits.dtype)
    sums = torch.zeros(4, logits.shape[1], dtype=dtype, device=logits.device)
    peaks = torch.full(labels.shape, -1, dtype=labels.dtype, device=labels.device)
    curves = settings.curves(points, dtype)
    for images, parts in _chunks(logits):
        scene = Scene(logits[images], labels[images], settings)
        for classes in parts:
            soft = scene.soft_edges(classes, curves)
            find_peaks(soft, scene.truth, classes, settings.tolerance, peaks[images])
            sums[:, classes] += _sums(soft, *scene.weights(classes, peaks[images]))
    return sums, peaks


def backward(
    logits: Tensor,
    labels: Tensor,
    points: Tensor,
    peaks: Tensor,
    gradient: Tensor,
    settings: Settings,
) -> Tensor:
    """Gradient in the logits from that in the sums, (4, C); other arguments as in ``forward``."""
    result = torch.empty_like(logits)
    curves = settings.curves(points, gradient.dtype)
    for images, parts in _chunks(logits):
        scene = Scene(logits[images], labels[images], settings)
        of_p = torch.zeros_like(scene.probability)
        for classes in parts:
            if _worth_a_look(gradient[:, classes]):
                weights = scene.weights(classes, peaks[images])
                of_edges = _edge_gradient(gradient[:, classes], *weights)
                of_p[:, classes] = scene.gradient(classes, of_edges, curves)
        result[images] = _softmax_gradient(scene, of_p)
    return result


class Scene:
    """What the chunks of some images share: probabilities, valid pixels, truth edges.

    logits: (n, C, H, W). labels: (n, H, W) int32, -1 at void.
    """

    def __init__(self, logits: Tensor, labels: Tensor, settings: Settings) -> None:
        seen, classes = labels >= 0, logits.shape[1]
        probability = logits.to(working_dtype(logits.dtype)).softmax(dim=1)
        # The neutral element of erosion, and nothing of what the network says there.
        self.probability = probability.masked_fill_(~seen[:, None], 1.0)
        self.valid = seen[:, None].to(probability.dtype)
        edges = label_edges(labels, seen, classes)
        self.truth = torch.where(edges, labels, -1)
        self.near = dilate_sets(class_sets(labels.long(), edges, classes), settings.tolerance)
        self.form = edge_form(settings.names)

    def soft_edges(self, classes: slice, curves: list[FastCurve]) -> Tensor:
        """XOR of each pixel and its erosion, 0 at void; (n, k, H, W)."""
        p = self.probability[:, classes]
        return self.form.height(curves, p, Erosion(p).value).mul_(self.valid)

    def weights(self, classes: slice, peaks: Tensor) -> tuple[Tensor, Tensor]:
        """near and peaks of the module's formulas, (n, k, H, W) each."""
        dtype = self.probability.dtype
        return has_class(self.near, classes, dtype), count_peaks(peaks, self.truth, classes, dtype)

    def gradient(self, classes: slice, of_edges: Tensor, curves: list[FastCurve]) -> Tensor:
        """Gradient in the probabilities from that in the soft edges, (n, k, H, W) both."""
        p = self.probability[:, classes]
        erosion = Erosion(p)
        of_p, of_e = self.form.slopes(curves, p, erosion.value)
        of_edges = of_edges.mul_(self.valid)
        return of_p.mul_(of_edges).add_(erosion.gradient(of_e.mul_(of_edges)))


def _sums(soft: Tensor, near: Tensor, peaks: Tensor) -> Tensor:
    """The four counts of a chunk, (4, k). Every truth edge has one peak: they add up to target."""
    maps = (peaks, peaks * soft, soft, near.mul_(soft))
    return torch.stack([values.sum(dim=(0, 2, 3)) for values in maps])


def _edge_gradient(gradient: Tensor, near: Tensor, peaks: Tensor) -> Tensor:
    """Gradient in the soft edges (n, k, H, W) from that in the counts, (4, k)."""
    _, matched_target, prediction, matched_prediction = gradient[:, :, None, None].unbind()
    found = peaks.mul_(matched_target)
    return near.mul_(matched_prediction).add_(prediction).add_(found)


def _softmax_gradient(scene: Scene, of_p: Tensor) -> Tensor:
    """dlogit_c = p_c (dp_c - sum_k p_k dp_k), 0 at void."""
    p = scene.probability
    mean = (p * of_p).sum(dim=1, keepdim=True)
    return of_p.sub_(mean).mul_(p).mul_(scene.valid)


def _worth_a_look(gradient: Tensor) -> bool:
    """Whether a chunk has any gradient: absent classes have none. Asked on the host only."""
    return gradient.device.type != "cpu" or bool(gradient.any())


def _chunks(logits: Tensor) -> Iterator[tuple[slice, list[slice]]]:
    """Ranges of images, and for each the ranges of classes, of about one chunk together."""
    images, classes, height, width = logits.shape
    limit = CHUNK_ON_HOST if logits.device.type == "cpu" else CHUNK_ELSEWHERE
    planes = max(1, limit // max(1, height * width))
    for part in _ranges(images, max(1, planes // max(1, classes))):
        yield part, list(_ranges(classes, planes))


def _ranges(total: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, total)) for start in range(0, total, size))
