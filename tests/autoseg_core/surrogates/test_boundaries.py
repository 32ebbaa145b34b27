"""Soft boundaries: erosion, dilation and the two forms of XOR."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import references
import samples
import torch

from autoseg_core import load_spec
from autoseg_core.surfaces import SURFACES, evaluate_curve
from autoseg_core.surfaces.operations import XOR as FREE_CURVES
from autoseg_core.surfaces.operations import Curve
from autoseg_core.surrogates.boundaries import erode, soft_bands, soft_edges
from autoseg_core.surrogates.regions import soft_region_counts


def random_maps(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    maps, mask = rng.random((2, 3, 9, 11)), rng.random((2, 1, 9, 11)) < 0.7
    return torch.from_numpy(maps), torch.from_numpy(mask)


def test_free_curves_see_edges_in_flat_areas() -> None:
    """As released: 0.48 with identity curves, 0.76 with the published ones, where p is 0.4."""
    flat = torch.full((1, 1, 5, 5), 0.4, dtype=torch.float64)

    def edge(curves: dict[str, Curve]) -> float:
        return float(soft_edges(flat, flat > 0, curves)[0, 0, 2, 2])

    assert edge({name: lambda p: p for name in FREE_CURVES}) == pytest.approx(2 * 0.4 - 2 * 0.4**2)
    points = torch.tensor(load_spec("voc-bf1-bezier").terms[0].control_points).double()
    published: dict[str, Curve] = {
        name: partial(evaluate_curve, "bezier", curve)
        for name, curve in zip(FREE_CURVES, points, strict=True)
    }
    assert edge(published) == pytest.approx(0.757, abs=5e-4)


@pytest.mark.parametrize("surface", SURFACES)
def test_a_difference_is_the_edge_of_the_curved_map(surface: str) -> None:
    """Erosion commutes with a curve that does not fall."""
    p, mask = random_maps(4)
    points = torch.tensor(samples.term("BF1_difference", surface).control_points[0]).double()
    curves: dict[str, Curve] = {"xor": partial(evaluate_curve, surface, points)}
    curved = curves["xor"](p)
    expected = (curved - erode(curved, mask)) * mask
    torch.testing.assert_close(soft_edges(p, mask, curves), expected, rtol=1e-12, atol=1e-12)


def test_a_steep_difference_finds_the_edges_of_the_thresholded_map() -> None:
    p, mask = random_maps(5)
    step = torch.tensor([[0, 0], [0.5, 0], [0.5, 1], [1, 1]], dtype=torch.float64)
    soft = soft_edges(p, mask, {"xor": partial(evaluate_curve, "linear", step)})
    maps = (p >= 0.5).double().numpy()
    np.testing.assert_array_equal(soft.numpy(), references.edges(maps, mask[:, 0].numpy()))


def test_counts_on_bands_by_hand() -> None:
    p = torch.tensor([[[[0.9, 0.8, 0.3, 0.1]], [[0.1, 0.2, 0.7, 0.9]]]], dtype=torch.float64)
    valid = torch.tensor([[[[1, 1, 1, 0]]]]) == 1
    own = torch.tensor([[[[0, 1, 0, 0]], [[0, 0, 1, 0]]]]) == 1  # the truth's band: pixels 1 and 2
    curves = {"and": lambda b: b**2, "or": lambda b: b.sqrt()}
    bands = soft_bands(p, valid, radius=1, border=False)
    expected = torch.tensor([[0.1, 0.5, 0, 0], [0, 0.1, 0.5, 0]]).double()
    torch.testing.assert_close(bands[0, :, 0], expected)
    counts = soft_region_counts(bands, own, valid, curves)
    assert counts.target.tolist() == [1, 1]
    torch.testing.assert_close(counts.intersection, torch.tensor([0.5, 0.5]).double() ** 2)
    claimed = torch.tensor([0.1, 0.1]).double().sqrt()
    torch.testing.assert_close(counts.union, 1 + claimed)
    assert counts.pixels.tolist() == [3, 3]
