"""Upsampling on the way equals upsampling first, in value and gradient, without the full size."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import samples
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from autoseg_core import AutoSegLoss, native
from benchmarks.memory import kept_bytes

ALIGN = pytest.mark.parametrize("align_corners", [False, True])
BACKEND = pytest.mark.parametrize("backend", ["reference", "auto"])
REGION = ["mIoU", "mAcc", "mSpecificity", "BIoU"]


def _batch(
    seed: int,
    small: tuple[int, int] = (5, 7),
    size: tuple[int, int] = (20, 28),
    classes: int = 4,
) -> tuple[Tensor, Tensor]:
    """Float64 logits (2, C, h, w), and a target of ``size`` with a fifth of it void."""
    rng = np.random.default_rng(seed)
    target = rng.integers(classes, size=(2, *size))
    target[rng.random(target.shape) < 0.2] = samples.VOID
    logits = rng.normal(scale=2, size=(2, classes, *small))
    return torch.from_numpy(logits), torch.from_numpy(target)


def _loss(metric: str = "mIoU", surface: str = "bezier", **options: Any) -> AutoSegLoss:
    return samples.loss_of(samples.term(metric, surface, tolerance=2), **options)


def _assert_equal(loss: AutoSegLoss, logits: Tensor, target: Tensor, within: float) -> None:
    """Equal to the reference of logits that ``F.interpolate`` has brought to the target's size."""
    plain = AutoSegLoss(loss.spec, backend="reference")

    def upsampled_first(logits: Tensor, target: Tensor) -> Tensor:
        options: Any = {"mode": "bilinear", "align_corners": loss.align_corners}
        return plain(F.interpolate(logits, target.shape[-2:], **options), target)

    value, gradient = samples.value_and_gradient(loss, logits, target)
    expected, exact = samples.value_and_gradient(upsampled_first, logits.double(), target)
    assert gradient.dtype == logits.dtype and exact.any()
    torch.testing.assert_close(value.double(), expected, rtol=within, atol=0)
    bound = max(within, torch.finfo(logits.dtype).eps) * float(exact.abs().max())
    torch.testing.assert_close(gradient.double(), exact, rtol=0, atol=bound)


@BACKEND
@pytest.mark.parametrize(
    ("small", "size", "align_corners"),
    [
        ((5, 7), (20, 28), False),
        ((5, 7), (13, 17), True),
        ((5, 7), (5, 7), False),
        ((1, 1), (6, 8), True),
        ((1, 7), (1, 28), False),
        ((33, 9), (65, 17), True),
        ((4, 300), (11, 2000), False),
    ],
)
def test_sizes(small: Any, size: Any, align_corners: bool, backend: Any) -> None:
    loss = _loss(backend=backend, upsample="bilinear", align_corners=align_corners)
    logits, target = _batch(0, small, size)
    _assert_equal(loss, logits, target, 1e-10)
    # F.interpolate's float32 places the pixels of wide images less well than the kernel.
    _assert_equal(loss, logits.float(), target, 1e-5 if backend == "auto" else 1e-4)


@ALIGN
@pytest.mark.parametrize(("metric", "surface"), samples.TERMS[::3])
def test_every_metric(metric: str, surface: str, align_corners: bool) -> None:
    loss = _loss(metric, surface, upsample="bilinear", align_corners=align_corners)
    _assert_equal(loss, *_batch(1, (5, 7), (18, 30)), 1e-10)


@BACKEND
@pytest.mark.parametrize(("bad", "align_corners"), [(torch.nan, False), (torch.inf, True)])
def test_nan_changes_nothing_if_all_that_read_it_are_void(
    bad: float, align_corners: bool, backend: Any
) -> None:
    logits, target = _batch(10, (5, 7), (20, 28))
    logits[0, 1, 2, 3] = bad
    full = F.interpolate(logits, (20, 28), mode="bilinear", align_corners=align_corners)
    reached = ~full.isfinite().all(1)
    assert 0 < reached[0].sum() < 200 and not reached[1].any()
    target[reached] = samples.VOID
    loss = _loss(backend=backend, upsample="bilinear", align_corners=align_corners)
    value, gradient = samples.value_and_gradient(loss, logits, target)
    expected, exact = samples.value_and_gradient(loss, logits.nan_to_num(0, 0, 0), target)
    assert torch.equal(value, expected) and torch.equal(gradient, exact)
    assert not gradient[0, :, 2, 3].any()


class _Largest(TorchDispatchMode):
    """Records the most bytes of any tensor that is made while it is on."""

    bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for made in out if isinstance(out, tuple | list) else [out]:
            if isinstance(made, Tensor):
                self.bytes = max(self.bytes, made.untyped_storage().nbytes())
        return out


def _peak(loss: Any, logits: Tensor, target: Tensor) -> int:
    with _Largest() as largest:
        loss(logits.requires_grad_(), target).backward()
    return largest.bytes


@pytest.mark.skipif(not native.CPU, reason="needs the C++ kernels")
@pytest.mark.parametrize("metric", REGION)
def test_nothing_of_the_full_size_is_made_or_kept(metric: str) -> None:
    logits, target = _batch(13, (16, 32), (128, 256), classes=64)
    logits, loss = logits.float(), _loss(metric, upsample="bilinear")
    assert _peak(loss, logits, target) <= logits.nbytes
    assert kept_bytes(partial(loss, logits, target)) <= logits.nbytes + target.nbytes + 4096
