"""Soft region counts by hand, and how they add up."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from autoseg_core.surfaces.operations import Curve
from autoseg_core.surrogates.regions import soft_region_counts


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


# One row of three pixels, two classes; the last pixel is void.
PROBABILITY = torch.stack([double(0.5, 0.2, 0.9), double(0.5, 0.8, 0.1)]).view(1, 2, 1, 3)
TARGET = torch.tensor([[[0, 1, 255]]])


SQUARE_AND_ROOT: dict[str, Curve] = {"and": lambda p: p**2, "or": lambda p: p.sqrt()}


def test_sums_by_hand() -> None:
    counts = soft_region_counts(
        PROBABILITY.log(), TARGET, TARGET != 255, SQUARE_AND_ROOT, "softmax"
    )
    torch.testing.assert_close(counts.intersection, double(0.25, 0.64))
    torch.testing.assert_close(counts.union, 1 + double(0.2, 0.5).sqrt())
    assert counts.target.tolist() == [1, 1] and counts.pixels.tolist() == [2, 2]


def test_sums_of_classes_that_do_not_exclude_each_other() -> None:
    target = torch.tensor([[[[1, 0, 255]], [[1, 1, 0]]]])
    counts = soft_region_counts(
        PROBABILITY.logit(), target, target != 255, SQUARE_AND_ROOT, "sigmoid"
    )
    torch.testing.assert_close(counts.intersection, double(0.25, 0.25 + 0.64))
    torch.testing.assert_close(counts.union, double(1, 2) + double(0.2, 0.1).sqrt())
    assert counts.target.tolist() == [1, 2] and counts.pixels.tolist() == [2, 3]


@pytest.mark.parametrize("name", ["and", "or"])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_a_curve_that_a_metric_does_not_use_is_the_identity(name: str, activation: Any) -> None:
    target = TARGET if activation == "softmax" else torch.tensor([[[[1, 0, 255]], [[1, 1, 0]]]])
    one = {name: SQUARE_AND_ROOT[name]}
    both: dict[str, Curve] = {"and": lambda p: p, "or": lambda p: p, **one}
    found, expected = (
        soft_region_counts(PROBABILITY.log(), target, target != 255, curves, activation)
        for curves in (one, both)
    )
    torch.testing.assert_close(found.tensors(), expected.tensors())
