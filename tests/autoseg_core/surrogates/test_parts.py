"""Counts in parts are those of the whole, in value and gradient, and only inputs are kept."""

from __future__ import annotations

from typing import Any

import pytest
import samples
import torch
from torch import Tensor

from autoseg_core import native
from autoseg_core.surrogates import parts
from benchmarks.memory import kept_bytes

METRICS = ("mIoU", "mSpecificity", "BIoU", "BF1", "BoundaryIoU(radius=2)")


@pytest.fixture(autouse=True)
def without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "CPU", False)


def large_batch(repeats: int = 9) -> tuple[Tensor, Tensor]:
    """More than three times the numbers of the smallest part."""
    logits, target = samples.batch(0)
    return logits.repeat(1, 1, repeats, repeats), target.repeat(1, repeats, repeats)


def steps(metric: str, logits: Tensor, target: Tensor, **options: Any) -> list[Any]:
    term = samples.term(metric, tolerance=2)
    losses = [samples.loss_of(term, backend=b, **options) for b in ("auto", "reference")]
    return [samples.value_and_gradient(loss, logits, target) for loss in losses]


@pytest.mark.parametrize("metric", METRICS)
def test_parts_are_the_whole(metric: str) -> None:
    logits, target = large_batch()
    assert logits.numel() > 3 * 2**16
    found, expected = steps(metric, logits, target)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(
    ("metric", "number", "options"),
    [
        *[(metric, 7, {}) for metric in METRICS],
        *[(metric, 3, {"upsample": "bilinear"}) for metric in ("mIoU", "BIoU", "BF1")],
        ("mIoU", 3, {"activation": "sigmoid"}),
    ],
)
def test_any_number_of_parts(
    metric: str, number: int, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "_number", lambda values: number)
    logits, target = samples.batch(1)
    if "activation" in options:
        target = torch.randint(2, logits.shape, generator=torch.Generator().manual_seed(0))
    if "upsample" in options:
        logits = logits[..., ::2, ::3]
    found, expected = steps(metric, logits, target, **options)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("metric", METRICS)
def test_hardly_more_than_the_logits_is_kept(metric: str) -> None:
    logits, target = large_batch()
    logits = logits.float().requires_grad_()
    loss = samples.loss_of(samples.term(metric, tolerance=2))
    kept = kept_bytes(lambda: loss(logits, target), target)
    assert kept <= 1.8 * logits.nbytes  # labels of 8 bytes beside 5 logits of 4
