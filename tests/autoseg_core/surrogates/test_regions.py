"""Soft region counts by hand, and how they add up."""

from __future__ import annotations

from dataclasses import fields

import pytest
import samples
import torch
from torch import Tensor

from autoseg_core.counts import Counts
from autoseg_core.surrogates.loss import soft_counts
from autoseg_core.surrogates.regions import one_hot_mask, soft_region_counts


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


# One row of three pixels, two classes; the last pixel is void.
PROBABILITY = torch.stack([double(0.5, 0.2, 0.9), double(0.5, 0.8, 0.1)]).view(1, 2, 1, 3)
TARGET = torch.tensor([[[0, 1, 255]]])
CURVES = {"and": lambda p: p**2, "or": lambda p: p.sqrt()}


def test_counts_by_hand() -> None:
    counts = soft_region_counts(PROBABILITY, TARGET, TARGET != 255, CURVES)
    torch.testing.assert_close(counts.target, double(1, 1))
    torch.testing.assert_close(counts.intersection, double(0.25, 0.64))
    torch.testing.assert_close(counts.union, 1 + double(0.2, 0.5).sqrt())
    torch.testing.assert_close(counts.pixels, double(2, 2))


def test_without_a_curve_for_or_the_union_is_that_of_the_identity() -> None:
    counts = soft_region_counts(PROBABILITY, TARGET, TARGET != 255, {"and": CURVES["and"]})
    torch.testing.assert_close(counts.union, 1 + double(0.2, 0.5))


def test_without_a_curve_for_and_the_intersection_is_that_of_the_identity() -> None:
    counts = soft_region_counts(PROBABILITY, TARGET, TARGET != 255, {"or": CURVES["or"]})
    torch.testing.assert_close(counts.intersection, double(0.5, 0.8))
    torch.testing.assert_close(counts.union, 1 + double(0.2, 0.5).sqrt())


def test_one_hot_mask_leaves_void_out() -> None:
    mask = one_hot_mask(TARGET, TARGET != 255, 3)
    assert mask[0, :, 0].int().tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize(("metric", "surface"), samples.TERMS)
def test_counts_of_images_add_up_to_the_batch(metric: str, surface: str) -> None:
    """What lets a surrogate be summed over chunks and processes before it is scored."""
    term = samples.term(metric, surface)
    points = torch.tensor(term.control_points, dtype=torch.float64)
    logits, target = samples.batch(0)
    p = logits.softmax(1)

    def counts(part: slice) -> Counts:
        return soft_counts(term, points, p[part], target[part], target[part] != samples.VOID)

    total, whole = counts(slice(0, 1)) + counts(slice(1, 2)), counts(slice(0, 2))
    for field in fields(whole):
        torch.testing.assert_close(getattr(total, field.name), getattr(whole, field.name))
