"""Soft region counts by Triton kernels: ``autoseg::region_sums`` and its backward on CUDA.

N: images; C: classes; R, Q: rows and columns of pixels; h, w: of logits yet to be upsampled;
P: pieces of a curve. ``operations`` describes the arguments.
Forward reads the logits once and keeps nothing; backward reads them once and writes their gradient.
Sums are taken program by program and then in order, without atomics: equal runs are equal.
Triton itself is imported at the first use, so this module can be imported without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from autoseg_core.metrics.boundaries import near_boundary
from autoseg_core.native.triton_launch import Map, make_job, one_row

MAX_CLASSES = 256
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def available(device: torch.device | str = "cuda") -> bool:
    """Whether the kernels run on tensors of ``device``: Triton and a GPU that it compiles for."""
    if find_spec("triton") is None or torch.device(device).type != "cuda":
        return False
    return torch.cuda.is_available() and torch.cuda.get_device_capability(device) >= (7, 5)


def fits(logits: Tensor) -> bool:
    """Whether the kernels take these logits (N, C, ...), and run on their device."""
    few = 1 <= logits.shape[1] <= MAX_CLASSES
    return few and logits.dtype in DTYPES and available(logits.device)


def region_sums(logits: Tensor, target: Tensor, tables: Sequence[Tensor], *options: Any) -> Tensor:
    """``autoseg::region_sums``, (4, C) float32; labels outside the classes fail an assertion."""
    job = make_job(logits, target, tables, *options)
    partial = logits.new_empty((job.programs, 5, logits.shape[1]), dtype=torch.float32)
    job.launch("sums_kernel", partial)
    sums = partial.sum(dim=0, dtype=torch.float64)  # float32 cannot count past 16 million
    torch._assert_async(sums[4, 0] == 0, "A target label lies outside the classes.")
    return sums[:4].float()


def region_sums_backward(
    gradient: Tensor, logits: Tensor, target: Tensor, tables: Sequence[Tensor], *options: Any
) -> Tensor:
    """``autoseg::region_sums_backward``: 0 at masked pixels, whatever their logits are.

    A curve has slope 0 at p = 0 and p = 1, its ends being exact (``bezier.value``).
    """
    job = make_job(logits, target, tables, *options)
    upstream, result = gradient.float().contiguous(), torch.empty_like(logits)
    if job.problem.places is None:
        out = one_row(result) if job.flat else result
        job.launch("gradient_kernel", upstream, Map(out, out.stride()))
        return result
    images, classes, height, width = logits.shape
    # Gradients of the logits above and below, left and right of each cell from its pixels.
    shares = logits.new_empty((2, 2, images, height, width, classes), dtype=torch.float32)
    strides = (shares.stride(2), shares.stride(5), shares.stride(4), shares.stride(1))
    job.launch("gradient_kernel", upstream, Map(shares, strides))
    rows = shares[0]
    rows[:, :, 1:] += shares[1, :, :, :-1]
    columns = rows[0]
    columns[:, :, 1:] += rows[1, :, :, :-1]
    return result.copy_(columns.movedim(-1, 1))


def trimap(
    target: Tensor,
    classes: int,
    ignore_index: int,
    tolerance: int,
    drop_background: bool,
    void_edges: bool,
) -> Tensor:
    """``autoseg::trimap``; labels outside the classes become C + 1, which is not a class either."""
    valid = target != ignore_index
    labels = torch.where(valid, target.long(), classes)
    seen = torch.ones_like(valid) if void_edges else valid
    near = near_boundary(labels, seen, classes, tolerance, drop_background)
    outside = (labels < 0) | (labels > classes)
    kept = torch.where(near, labels, classes).masked_fill(outside, classes + 1)
    return kept.to(torch.uint8 if classes <= torch.iinfo(torch.uint8).max - 2 else torch.int16)


torch.library.impl("autoseg::trimap", "cuda")(trimap)
torch.library.impl("autoseg::region_sums", "cuda")(region_sums)
torch.library.impl("autoseg::region_sums_backward", "cuda")(region_sums_backward)
