"""Counts in parts are those of the whole, in value and gradient, and only inputs are kept."""

from __future__ import annotations

from typing import Any

import pytest
import samples
import torch
from torch import Tensor

from autoseg_core import native
from autoseg_core.surrogates import parts
from autoseg_core.surrogates.loss import AutoSegLoss
from benchmarks.memory import kept_bytes

METRICS = pytest.mark.parametrize(
    "metric", ["mIoU", "mSpecificity", "BIoU", "BF1", "BoundaryIoU(radius=2)"]
)


@pytest.fixture(autouse=True)
def without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "CPU", False)


def large_batch(repeats: int = 9) -> tuple[Tensor, Tensor]:
    """More than three times the numbers of the smallest part."""
    logits, target = samples.batch(0)
    return logits.repeat(1, 1, repeats, repeats), target.repeat(1, repeats, repeats)


def steps(metric: str, logits: Tensor, target: Tensor, **options: Any) -> list[Any]:
    spec = samples.loss_of(samples.term(metric, tolerance=2)).spec
    losses = [AutoSegLoss(spec, backend=b, **options) for b in ("auto", "reference")]
    return [samples.value_and_gradient(loss, logits, target) for loss in losses]


@METRICS
def test_parts_are_the_whole(metric: str) -> None:
    logits, target = large_batch()
    assert logits.numel() > 3 * 2**16
    found, expected = steps(metric, logits, target)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-15)


@METRICS
@pytest.mark.parametrize("number", [7])
def test_any_number_of_parts(metric: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_number", lambda values: number)
    found, expected = steps(metric, *samples.batch(1))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-15)


@METRICS
def test_hardly_more_than_the_logits_is_kept(metric: str) -> None:
    logits, target = large_batch()
    logits = logits.float().requires_grad_()
    loss = samples.loss_of(samples.term(metric, tolerance=2))
    kept = kept_bytes(lambda: loss(logits, target), target)
    assert kept <= 1.8 * logits.nbytes  # labels of 8 bytes beside 5 logits of 4


@pytest.mark.parametrize("metric", ["mIoU", "BIoU", "BF1"])
def test_upsampled_logits(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_number", lambda values: 3)
    logits, target = samples.batch(2)
    found, expected = steps(metric, logits[..., ::2, ::3], target, upsample="bilinear")
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-15)


def test_maps_of_each_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_number", lambda values: 3)
    logits, _ = samples.batch(3)
    target = torch.randint(2, logits.shape, generator=torch.Generator().manual_seed(0))
    found, expected = steps("mIoU", logits, target, activation="sigmoid")
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-15)
