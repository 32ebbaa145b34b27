"""Soft region counts by hand, and how they add up."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import samples
import torch
from torch import Tensor

from autoseg_core.counts import Counts
from autoseg_core.surrogates.loss import soft_counts
from autoseg_core.surrogates.masks import one_hot_mask
from autoseg_core.surrogates.regions import (
    complete_curves,
    reference_sums,
    soft_region_counts,
    target_counts,
)


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


# One row of three pixels, two classes; the last pixel is void.
PROBABILITY = torch.stack([double(0.5, 0.2, 0.9), double(0.5, 0.8, 0.1)]).view(1, 2, 1, 3)
TARGET = torch.tensor([[[0, 1, 255]]])
LABELS = torch.tensor([[0, 1, -1]])


def test_sums_by_hand() -> None:
    logits = PROBABILITY.log().flatten(2)
    sums = reference_sums(logits, LABELS, lambda p: p**2, lambda p: p.sqrt(), "softmax")
    torch.testing.assert_close(sums[0], double(0.25, 0.64))
    torch.testing.assert_close(sums[1], double(0.2, 0.5).sqrt())
    assert target_counts(LABELS, 3).tolist() == [1, 1, 0]


def test_sums_of_classes_that_do_not_exclude_each_other() -> None:
    labels = torch.tensor([[[1, 0, -1], [1, 1, 0]]])
    logits = PROBABILITY.logit().flatten(2)
    sums = reference_sums(logits, labels, lambda p: p**2, lambda p: p.sqrt(), "sigmoid")
    torch.testing.assert_close(sums[0], double(0.25, 0.25 + 0.64))
    torch.testing.assert_close(sums[1], double(0.2, 0.1).sqrt())
    assert target_counts(labels, 2).tolist() == [1, 2]


@pytest.mark.parametrize("backend", ["reference", "fused"])
def test_a_curve_that_a_metric_does_not_use_is_the_identity(backend: Any) -> None:
    logits = PROBABILITY.log().flatten(2)
    bent = torch.tensor([[[0, 0], [0.2, 0.6], [1, 1]]], dtype=torch.float64)
    line = torch.tensor([[[0, 0], [0.5, 0.5], [1, 1]]], dtype=torch.float64)
    for name, both in (("and", [bent, line]), ("or", [line, bent])):
        counts = soft_region_counts(
            logits, LABELS, complete_curves((name,), bent), "bezier", backend=backend
        )
        expected = soft_region_counts(logits, LABELS, torch.cat(both), "bezier", backend=backend)
        torch.testing.assert_close(counts.tensors(), expected.tensors())


def test_pixels_are_those_that_count() -> None:
    logits, points = PROBABILITY.log().flatten(2), torch.zeros(2, 3, 2, dtype=torch.float64)
    assert soft_region_counts(logits, LABELS, points, "bezier").pixels.tolist() == [2, 2]
    labels = torch.tensor([[[1, 0, -1], [1, -1, -1]]])
    counts = soft_region_counts(logits, labels, points, "bezier", "sigmoid")
    assert counts.pixels.tolist() == [2, 1]


def test_one_hot_mask_leaves_void_out() -> None:
    mask = one_hot_mask(TARGET, TARGET != 255, 3)
    assert mask[0, :, 0].int().tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize(("metric", "surface"), samples.TERMS)
def test_counts_of_images_add_up_to_the_batch(metric: str, surface: str) -> None:
    """What lets a surrogate be summed over chunks and processes before it is scored."""
    term = samples.term(metric, surface)
    points = torch.tensor(term.control_points, dtype=torch.float64)
    logits, target = samples.batch(0)

    def counts(part: slice) -> Counts:
        return soft_counts(term, points, logits[part], target[part])

    total, whole = counts(slice(0, 1)) + counts(slice(1, 2)), counts(slice(0, 2))
    for field in fields(whole):
        torch.testing.assert_close(getattr(total, field.name), getattr(whole, field.name))
