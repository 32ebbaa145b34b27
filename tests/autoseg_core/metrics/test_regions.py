"""Exact region counts."""

from __future__ import annotations

import torch

from autoseg_core.metrics.regions import region_counts


def test_counts_by_hand() -> None:
    target = torch.tensor([[[0, 0, 1, 1, 2, 9]]])
    prediction = torch.tensor([[[0, 1, 1, 1, 0, -7]]])
    counts = region_counts(prediction, target, target != 9, num_classes=4)
    assert counts.target.tolist() == [2, 2, 1, 0]
    assert counts.intersection.tolist() == [1, 2, 0, 0]
    assert counts.union.tolist() == [3, 3, 1, 0]
    assert counts.pixels.tolist() == [5, 5, 5, 5]


def test_nothing_to_count() -> None:
    labels = torch.zeros(1, 2, 2, dtype=torch.int64)
    counts = region_counts(labels, labels, torch.zeros(1, 2, 2, dtype=torch.bool), num_classes=3)
    assert all(t.tolist() == [0, 0, 0] for t in counts.tensors())
