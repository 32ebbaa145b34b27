"""Counts are additive vectors."""

from __future__ import annotations

import torch

from autoseg_core.counts import RegionCounts


def vector(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int64)


def test_region_counts_add_field_by_field() -> None:
    total = RegionCounts(vector(1, 2), vector(1, 0), vector(3, 4), vector(5, 5)) + RegionCounts(
        vector(10, 20), vector(10, 0), vector(30, 40), vector(50, 50)
    )
    assert isinstance(total, RegionCounts)
    assert [t.tolist() for t in total.tensors()] == [[11, 22], [11, 0], [33, 44], [55, 55]]


def test_double_keeps_large_counts_exact() -> None:
    pixels = 2**53 - 1
    counts = RegionCounts(*[vector(pixels)] * 4).double().cpu()
    assert counts.union.dtype == torch.float64
    assert int(counts.union) == pixels


def test_gradients_flow_through_a_sum() -> None:
    soft = torch.ones(2, requires_grad=True)
    total = RegionCounts(soft, soft, soft, soft) + RegionCounts(soft, 2 * soft, soft, soft)
    total.intersection.sum().backward()
    assert soft.grad is not None
    assert soft.grad.tolist() == [3, 3]
