"""Check the inputs of a loss and make a ``Batch`` of them.

N: images; C: classes; H, W (and D): pixels; h, w: rows and columns of logits
that are yet to be upsampled.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from autoseg_core.scores import Metric
from autoseg_core.surrogates.batch import ACTIVATIONS, Activation, Batch
from autoseg_core.surrogates.counting import BACKENDS, Backend
from autoseg_core.void import with_one_void

RETIRED = ("fused", "compiled")
"""Backends of version 0.1, treated as "auto" for one more version."""
LABELS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def known_backend(name: str) -> Backend:
    """The backend of this name; "auto" with a FutureWarning for a retired one; else ValueError."""
    if name in RETIRED:
        warnings.warn(
            f"backend={name!r} (LOSS_BACKEND of a config) no longer exists and will be refused; "
            "using 'auto' instead, which has the C++ kernels.",
            FutureWarning,
            stacklevel=3,
        )
        return "auto"
    if name not in BACKENDS:
        raise ValueError(f"Unknown backend {name!r}; known: {', '.join(BACKENDS)}.")
    return cast(Backend, name)


def check_choices(
    activation: str,
    metrics: Sequence[Metric],
    upsample: str | None = None,
    align_corners: bool = False,
) -> None:
    """ValueError unless all are known and the metrics support the activation."""
    if activation not in ACTIVATIONS:
        raise ValueError(f"Unknown activation {activation!r}; known: {', '.join(ACTIVATIONS)}.")
    if upsample not in (None, "bilinear"):
        raise ValueError(f"Unknown upsample {upsample!r}; known: None, 'bilinear'.")
    if align_corners and upsample is None:
        raise ValueError("align_corners=True needs upsample='bilinear'.")
    flat = _of_label_maps(metrics)
    if activation == "sigmoid" and flat:
        raise ValueError(
            f"{', '.join(flat)} looks at boundaries between mutually exclusive classes: use "
            "activation='softmax', or a region metric such as mIoU."
        )


def checked_batch(
    metrics: Sequence[Metric],
    logits: Tensor,
    target: Tensor,
    activation: Activation,
    void: tuple[int, ...],
    upsample: str | None = None,
    align_corners: bool = False,
) -> Batch:
    """Replace all void labels by the first; add the channel of C = 1 under "sigmoid".

    Raises ``ValueError`` as ``AutoSegLoss`` does.
    """
    _check_tensors(logits, target)
    _check_logits(logits, activation)
    if logits.ndim == 5 and (flat := _of_label_maps(metrics)):
        raise ValueError(
            f"{', '.join(flat)} needs images, logits of shape (N, C, H, W), got "
            f"{tuple(logits.shape)}; volumes are for region metrics such as mIoU."
        )
    if logits.ndim == 5 and upsample:
        raise ValueError("upsample is for images; upsample volumes beforehand, with F.interpolate.")
    if activation == "sigmoid":
        if logits.shape[1] == 1 and target.ndim == logits.ndim - 1:
            target = target[:, None]
        target = target.byte() if target.dtype == torch.bool else target
    larger = _is_larger(target, logits)
    pixels = target.shape[-2:] if upsample and larger else logits.shape[2:]
    expected = (*logits.shape[: 1 if activation == "softmax" else 2], *pixels)
    if target.shape != expected or target.dtype not in LABELS:
        hint = "" if upsample or not larger else "; for a larger target use upsample='bilinear'"
        raise ValueError(
            f"Expected an integer target of shape {expected} for logits {tuple(logits.shape)} "
            f"under {activation}, got {target.dtype} of shape {tuple(target.shape)}{hint}. Convert "
            "labels with target.long(); target.squeeze(1) drops a channel, target.argmax(1) turns "
            "one-hot maps into labels; soft labels are not supported."
        )
    return Batch(logits, with_one_void(target, void), void[0], activation, align_corners)


def _check_tensors(logits: Any, target: Any) -> None:
    """ValueError unless both are tensors on one device."""
    for name, value in (("logits", logits), ("target", target)):
        if not isinstance(value, Tensor):
            masked = hasattr(value, "filled")  # a masked array, whose mask torch would drop
            source = f"{name}.filled(ignore_index)" if masked else name
            raise ValueError(
                f"Expected {name} as a tensor, got {type(value).__name__}; "
                f"torch.as_tensor({source}) makes one."
            )
    if logits.device != target.device:
        raise ValueError(
            f"Expected logits and target on one device, got {logits.device} and {target.device}; "
            "move the target with target.to(logits.device)."
        )


def _check_logits(logits: Tensor, activation: str) -> None:
    least = 2 if activation == "softmax" else 1
    shaped = logits.ndim in (4, 5) and logits.shape[1] >= least and 0 not in logits.shape[2:]
    if not shaped or not logits.is_floating_point():
        raise ValueError(
            "Expected float logits of shape (N, C, H, W) or (N, C, D, H, W) with at least one "
            f"pixel and C >= {least}, got {tuple(logits.shape)} and {logits.dtype}; one logit per "
            "pixel needs activation='sigmoid'."
        )


def _of_label_maps(metrics: Sequence[Metric]) -> list[str]:
    return [metric.name for metric in metrics if metric.region != "image"]


def _is_larger(target: Tensor, logits: Tensor) -> bool:
    """Whether logits (N, C, h, w) can be upsampled to the target's (..., H, W)."""
    if logits.ndim != 4 or target.ndim < 3:
        return False
    sides = zip(logits.shape[2:], target.shape[-2:], strict=True)
    return target.shape[-2:] != logits.shape[2:] and all(a <= b for a, b in sides)
