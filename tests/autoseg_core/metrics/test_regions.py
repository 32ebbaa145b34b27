"""Region counts by hand, and against a table of all pairs of labels."""

from __future__ import annotations

import torch

from autoseg_core.metrics.regions import region_counts


def test_counts_by_hand() -> None:
    target = torch.tensor([[[0, 0, 1, 1, 2, 4]]])
    prediction = torch.tensor([[[0, 1, 1, 1, 0, 3]]])
    valid = target < 4
    counts = region_counts(prediction, target, valid, valid, valid, num_classes=4)
    assert counts.target.tolist() == [2, 2, 1, 0]
    assert counts.intersection.tolist() == [1, 2, 0, 0]
    assert counts.union.tolist() == [3, 3, 1, 0]
    assert counts.pixels.tolist() == [5, 5, 5, 5]


def test_masks_of_their_own_by_hand() -> None:
    target, prediction = torch.tensor([[[0, 0, 1, 1]]]), torch.tensor([[[0, 0, 0, 1]]])
    in_target, in_prediction = (torch.tensor([[m]]) > 0 for m in ([1, 1, 0, 0], [0, 1, 1, 1]))
    pixels = torch.ones_like(in_target)
    counts = region_counts(prediction, target, in_prediction, in_target, pixels, num_classes=2)
    assert counts.target.tolist() == [2, 0]
    assert counts.intersection.tolist() == [1, 0]
    assert counts.union.tolist() == [3, 1]
    assert counts.pixels.tolist() == [4, 4]
