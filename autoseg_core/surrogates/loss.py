"""AutoSegLoss: a spec as a torch module.

N: images; C: classes; H, W: pixels; G: curves of a term; K: control points of a curve; h, w: rows
and columns of logits that are yet to be upsampled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from autoseg_core import native
from autoseg_core.counts import Counts
from autoseg_core.numerics import working_dtype
from autoseg_core.scores import get_metric
from autoseg_core.spec import LossSpec, LossTerm
from autoseg_core.surrogates.batch import Activation, Batch
from autoseg_core.surrogates.counting import Backend, soft_counts
from autoseg_core.surrogates.distributed import sum_over_processes
from autoseg_core.surrogates.inputs import check_choices, checked_batch, known_backend
from autoseg_core.surrogates.scoring import combined_loss, mean_scores, term_scores
from autoseg_core.void import IgnoreIndex, check_map_void, void_labels, void_text

Self = TypeVar("Self", bound="AutoSegLoss")


class AutoSegLoss(nn.Module):
    """``scale`` times the sum over the terms of ``weight * (1 - surrogate score of the batch)``.

    For a product it is ``scale`` times 1 - the product of the scores.

    For one-hot predictions each surrogate equals its exact metric for all control points; with
    identity curves mIoU is the soft Jaccard loss and mAcc is 1 - mean probability of the true
    class. The score is a ratio of sums over the whole batch, not a mean over pixels: the gradient
    of a pixel depends on the rest of the batch. (ASL, arXiv 2010.07930.)

    Args:
        spec: the loss to compute.
        ignore_index: target value of void pixels, or several; they have no effect.
        activation: "softmax": a pixel has one class; "sigmoid": classes are not mutually exclusive
            (multi-label, or binary with C = 1), region metrics only.
        per_image: a term's score is the mean over the images in which it has a class to score;
            otherwise it is the score of the whole batch.
        sync: sum the counts over all processes, so that the loss is that of the whole batch
            (``distributed.sum_over_processes``); every process must then take part in every step.
        backend: "auto", "reference", "native" or "triton" (``counting``). Second derivatives,
            forward mode and ``torch.func.grad`` need "reference".
        upsample: "bilinear": logits may be smaller than the target and count as
            ``F.interpolate(logits, (H, W), mode="bilinear")`` would, but region and trimap metrics
            never hold the full size; metrics of edges and bands, which need erosions, do.
        align_corners: option of that interpolation.

    Control points are float32 buffers. They come from the spec for float64 logits, and if a wrapper
    has cast the buffers (``MixedPrecision.buffer_dtype`` of FSDP). ``.to()`` moves them but does
    not round them. Points from the spec, or of a loss on another device than the logits, are copied
    in each call, which a CUDA graph cannot capture: move the loss to the device first. No
    ``state_dict`` holds them: the spec defines the loss, and a checkpoint, perhaps of another loss,
    must not change it.
    """

    def __init__(
        self,
        spec: LossSpec,
        ignore_index: IgnoreIndex = 255,
        *,
        activation: Activation = "softmax",
        per_image: bool = False,
        sync: bool = False,
        backend: Backend = "auto",
        upsample: Literal["bilinear"] | None = None,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(spec, LossSpec):
            raise TypeError(
                f"Expected a LossSpec, got {spec!r}: load_loss({spec!r}) takes a name or a path, "
                "soft_loss the name of any metric."
            )
        native.say_if_missing()
        metrics = [get_metric(term.metric) for term in spec.terms]
        check_choices(activation, metrics, upsample, align_corners)
        if per_image and sync:
            raise ValueError(
                "per_image=True scores every image separately: there is nothing to sync."
            )
        self.spec = spec
        self.void = void_labels(ignore_index)
        if activation == "sigmoid":
            check_map_void(self.void)
        self.activation = activation
        self.per_image = per_image
        self.sync = sync
        self.backend = known_backend(backend)
        self.upsample = upsample
        self.align_corners = align_corners
        for index, term in enumerate(spec.terms):
            points = _points(term).float().to(torch.get_default_device())
            self.register_buffer(f"points_{index}", points, persistent=False)
        self.register_load_state_dict_pre_hook(_own_points)  # type: ignore[no-untyped-call]

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a scalar in float32 (float64 for float64 logits).

        logits: (N, C, H, W) float of any precision; region metrics also take volumes
        (N, C, D, H, W). target: (N, H, W) integers, in [0, C) or ``ignore_index``; under "sigmoid"
        0, 1 or ``ignore_index`` for each class, or bool, (N, C, H, W), or (N, H, W) for C = 1. With
        ``upsample`` logits may be (N, C, h, w), h <= H and w <= W; the loss then uses interpolated
        logits, so a NaN counts unless all pixels that use it are void. A batch of only void pixels
        gives 0 with a graph and zero gradients, as does one without images. Raises ``ValueError``
        for other types, shapes and devices, for C = 1 under "softmax", where the probability is
        always 1, for labels outside the classes (on CUDA, where checking would stall the stream,
        there is a device-side assertion), and for a score without a gradient.
        """
        batch = self.batch(logits, target)
        if not self.per_image or len(logits) == 0:
            return combined_loss(self.spec, self.scores(self.counts(batch)))
        images = [term_scores(self.spec, self.counts(image)) for image in batch.images()]
        return combined_loss(self.spec, mean_scores(images))

    def batch(self, logits: Tensor, target: Tensor) -> Batch:
        """Arguments of ``forward``, checked."""
        metrics = [get_metric(term.metric) for term in self.spec.terms]
        options = (self.activation, self.void, self.upsample, self.align_corners)
        return checked_batch(metrics, logits, target, *options)

    def counts(self, batch: Batch) -> list[Counts]:
        """Soft counts of every term, with ``sync`` those of the whole batch."""
        found = []
        device, dtype = batch.logits.device, working_dtype(batch.logits.dtype)
        for index, term in enumerate(self.spec.terms):
            points = self.get_buffer(f"points_{index}")
            if not points.dtype == dtype == torch.float32:
                points = _points(term).to(dtype)  # on the host: some devices have no float64
            # Other devices than CUDA may read the host's memory after it is freed.
            points = points.to(device, non_blocking=device.type == "cuda")
            found.append(soft_counts(term, points, batch, self.backend))
        return [sum_over_processes(counts) for counts in found] if self.sync else found

    def scores(self, counts: Sequence[Counts]) -> list[Tensor]:
        """Surrogate score of every term: scalars, 1 if there is no class to score."""
        return term_scores(self.spec, counts)[0]

    @property
    def ignore_index(self) -> int:
        """The first void label, which replaces the others in ``forward``."""
        return self.void[0]

    def extra_repr(self) -> str:
        """The spec's name and metrics, for ``print(loss)``."""
        join = " + " if self.spec.combine == "sum" else " * "
        terms = join.join(f"{t.weight:g} {t.target}" for t in self.spec.terms)
        scaled = terms if self.spec.scale == 1 else f"{self.spec.scale:g} * ({terms})"
        return f"{self.spec.name}: {scaled}, ignore_index={void_text(self.void)}"

    def _apply(self: Self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Called by ``.to()``, ``.half()``, ``.cuda()`` and ``.to_empty()``; only moves the points.

        Points rounded to bfloat16 with the network, or left empty, would define another loss.
        """
        kept = {f"points_{i}": _points(term).float() for i, term in enumerate(self.spec.terms)}
        kept |= {name: b for name, b in self.named_buffers() if name in kept and not b.is_meta}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, points in kept.items():
            self._buffers[name] = points.to(self.get_buffer(name).device)
        return self


def _own_points(loss: AutoSegLoss, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Keep the spec's control points, whatever a state dict holds (older checkpoints have some).

    On the meta device, where loading would have given them values, they are set here.
    """
    for key in [key for key in state if key.startswith(f"{prefix}points_")]:
        del state[key]
    for index, term in enumerate(loss.spec.terms):
        if loss.get_buffer(f"points_{index}").is_meta:
            loss._buffers[f"points_{index}"] = _points(term).float()


def _points(term: LossTerm) -> Tensor:
    """Control points as the spec has them, (G, K, 2) float64 on the host."""
    return torch.tensor(term.control_points, dtype=torch.float64, device="cpu")
