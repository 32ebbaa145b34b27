"""Soft boundaries: erosion, dilation and the XOR of four free curves."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import references
import samples
import torch

from autoseg_core import SearchSpace
from autoseg_core.surfaces import SURFACES, evaluate_curve
from autoseg_core.surrogates.boundaries import dilate, erode, soft_boundary_counts, soft_edges
from autoseg_core.surrogates.regions import Curve


def random_curves(surface: str, seed: int) -> dict[str, Curve]:
    space = SearchSpace("BF1", surface)
    theta = np.random.default_rng(seed).random(space.dim)
    points = torch.from_numpy(space.control_points(theta))
    return {
        name: partial(evaluate_curve, surface, curve)
        for name, curve in zip(space.curves, points, strict=True)
    }


def random_maps(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.random((2, 3, 9, 11))), torch.from_numpy(
        rng.random((2, 9, 11)) < 0.7
    )


def test_erosion_equals_its_twin() -> None:
    p, mask = random_maps(0)
    np.testing.assert_array_equal(erode(p, mask).numpy(), references.erode(p.numpy(), mask.numpy()))


def test_erosion_where_everything_is_masked() -> None:
    p, mask = random_maps(0)
    assert (erode(p, torch.zeros_like(mask)) == 1).all()


@pytest.mark.parametrize("radius", [0, 1, 4, 20])
def test_dilation_equals_its_twin(radius: int) -> None:
    p, _ = random_maps(1)
    maps = p - 0.5  # soft edges may be negative
    expected = references.dilate(maps.numpy(), radius)
    np.testing.assert_array_equal(dilate(maps, radius).numpy(), expected)


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("void", [False, True])
def test_edges_of_binary_maps_are_exact_for_any_curves(surface: str, seed: int, void: bool) -> None:
    rng = np.random.default_rng(seed)
    labels = samples.label_maps(rng, 3)
    seen = samples.with_void(rng, labels) != samples.VOID if void else labels >= 0
    maps = references.one_hot(labels, 3)
    edges = soft_edges(torch.from_numpy(maps), torch.from_numpy(seen), random_curves(surface, seed))
    np.testing.assert_array_equal(edges.numpy(), references.edges(maps, seen))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_flat_binary_map_has_no_edge(value: float) -> None:
    flat = torch.full((1, 2, 5, 5), value, dtype=torch.float64)
    seen = torch.ones(1, 5, 5, dtype=torch.bool)
    assert not soft_edges(flat, seen, random_curves("bezier", 0)).any()


def test_a_flat_uncertain_map_by_hand() -> None:
    """As released: identity curves see 1 - p there, four free curves may see 0.76 at p = 0.4."""
    flat = torch.full((1, 1, 5, 5), 0.4, dtype=torch.float64)
    seen = torch.ones(1, 5, 5, dtype=torch.bool)
    line: dict[str, Curve] = {
        name: lambda p: p
        for name in ("and_probability", "and_eroded", "or_probability", "or_eroded")
    }
    expected = 2 * 0.4 - 2 * 0.4**2
    torch.testing.assert_close(soft_edges(flat, seen, line), torch.full_like(flat, expected))


def test_soft_edges_are_zero_in_void() -> None:
    p, mask = random_maps(2)
    edges = soft_edges(p, mask, random_curves("bezier", 2))
    assert not edges.masked_select(~mask[:, None]).any()
    assert edges.masked_select(mask[:, None]).all()


@pytest.mark.parametrize("tolerance", [0, 3])
def test_soft_counts_equal_their_twin(tolerance: int) -> None:
    p, mask = random_maps(3)
    target = torch.from_numpy(samples.label_maps(np.random.default_rng(3), 3, (2, 9, 11)))
    curves = random_curves("linear", 3)
    counts = soft_boundary_counts(p, target, mask, curves, tolerance)
    true_edges = references.edges(references.one_hot(np.where(mask, target, -1), 3), mask.numpy())
    expected = references.boundary_counts(
        true_edges, soft_edges(p, mask, curves).numpy(), tolerance
    )
    for name, twin in {
        "target": "T",
        "matched_target": "TM",
        "prediction": "P",
        "matched_prediction": "PM",
    }.items():
        np.testing.assert_allclose(getattr(counts, name).numpy(), expected[twin], rtol=1e-12)
