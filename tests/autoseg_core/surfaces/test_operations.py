"""Logic as surfaces: the truth table, and what the surrogates sum."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from samples import SURROGATES, term
from torch import Tensor

from autoseg_core.surfaces import SURFACES, get_surface
from autoseg_core.surfaces.operations import (
    OPERATIONS,
    Curves,
    Operation,
    logical_and,
    logical_or,
    operations_of,
)
from autoseg_core.surrogates.regions import soft_region_counts

TRUTH = {"AND": [0, 0, 0, 1], "OR": [0, 1, 1, 1], "XOR": [0, 1, 1, 0]}
SURFACE = pytest.mark.parametrize("surface", SURFACES)


def curves(metric: str, surface: str) -> dict[str, partial[Tensor]]:
    """Random ones."""
    points = torch.tensor(term(metric, surface).control_points, dtype=torch.float64)
    value = get_surface(surface).value
    names = term(metric, surface).curves
    return {name: partial(value, curve) for name, curve in zip(names, points, strict=True)}


@SURFACE
@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_the_corners_are_the_truth_table(operation: Operation, surface: str) -> None:
    corners = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=torch.float64)
    region = curves("mIoU", surface)
    known: Curves = {**region, **curves("BF1", surface), "xor": region["and"]}
    heights = operation.value(known, *corners.T).tolist()
    if operation.curves == ("xor",):
        assert heights.pop(1) == -1  # an erosion is not above its map
        assert heights == [0, 1, 0]
    else:
        assert heights == TRUTH[operation.name]


@SURFACE
def test_and_and_or_are_what_region_counts_sum(surface: str) -> None:
    p = torch.rand(1, 3, 4, 5, dtype=torch.float64).softmax(1)
    target = torch.randint(3, (1, 4, 5))
    y = torch.nn.functional.one_hot(target, 3).movedim(-1, 1).double()
    known = curves("mIoU", surface)
    valid = torch.ones(1, 1, 4, 5, dtype=torch.bool)
    counts = soft_region_counts(p, y > 0, valid, known)
    over = {"dim": (0, 2, 3)}
    torch.testing.assert_close(logical_and(known, y, p).sum(**over), counts.intersection)
    torch.testing.assert_close(logical_or(known, y, p).sum(**over), counts.union)


@pytest.mark.parametrize("metric", SURROGATES)
def test_every_metric_s_curves_belong_to_operations(metric: str) -> None:
    names = term(metric).curves
    found = operations_of(names)
    assert sorted(curve for operation in found for curve in operation.curves) == sorted(names)
