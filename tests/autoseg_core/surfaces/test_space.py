"""The search space: coordinates, constraints, round trips, errors."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import numpy as np
import pytest

from autoseg_core import Constraints, SearchSpace
from autoseg_core.scores import PAPER_METRICS
from autoseg_core.surfaces import SURFACES

CONSTRAINTS = [Constraints(*flags) for flags in product([True, False], repeat=2)]
EVERY = pytest.mark.parametrize(
    "space",
    [SearchSpace(m, s, None, c) for m, s, c in product(PAPER_METRICS, SURFACES, CONSTRAINTS)],
    ids=lambda s: f"{s.metric}-{s.surface}-{s.constraints.truth_table}-{s.constraints.monotone}",
)


def random_theta(space: SearchSpace, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).random(space.dim)


@pytest.mark.parametrize(
    ("metric", "dim"),
    [("mIoU", 12), ("FWIoU", 12), ("mAcc", 6), ("gAcc", 6), ("BIoU", 12), ("BF1", 8)],
)
@pytest.mark.parametrize("surface", SURFACES)
def test_dimensions_as_released(metric: str, dim: int, surface: str) -> None:
    space = SearchSpace(metric, surface)
    assert space.dim == dim
    assert len(set(space.names)) == dim


@pytest.mark.parametrize(
    ("pieces", "curve"),
    [(2, [1 / 4, 1 / 4, 1 / 3, 1 / 3, 1 / 2, 1 / 2]), (1, [1 / 2, 1 / 2])],
)
def test_identity_as_released(pieces: int, curve: list[float]) -> None:
    np.testing.assert_allclose(SearchSpace("mAcc", "bezier", pieces).identity(), curve, 1e-14)
    np.testing.assert_allclose(SearchSpace("mIoU", "bezier", pieces).identity(), 2 * curve, 1e-14)


def test_control_points_by_hand() -> None:
    space = SearchSpace("mAcc", "bezier", 2)
    assert space.names == ["and.B1.u", "and.B1.v", "and.B2.u", "and.B2.v", "and.B3.u", "and.B3.v"]
    points = space.control_points([0.5, 0.2, 0.5, 0, 1, 0.5])
    assert points.shape == (1, 5, 2)
    np.testing.assert_allclose(
        points[0], [(0, 0), (0.5, 0.2), (0.75, 0.2), (1, 0.6), (1, 1)], rtol=1e-15
    )


def test_pieces_and_curves_of_boundaries() -> None:
    space = SearchSpace("BF1", pieces=3)
    assert space.curves == ("and_probability", "and_eroded", "or_probability", "or_eroded")
    assert space.control_points(space.identity()).shape == (4, 7, 2)


@EVERY
def test_round_trip(space: SearchSpace) -> None:
    theta = random_theta(space)
    points = space.control_points(theta)
    assert points.dtype == np.float64
    np.testing.assert_allclose(space.theta(points), theta, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(space.control_points(space.theta(points)), points, rtol=1e-12)


@EVERY
@pytest.mark.parametrize("corner", [0.0, 1.0])
def test_corners_of_the_cube_round_trip_as_points(space: SearchSpace, corner: float) -> None:
    points = space.control_points(np.full(space.dim, corner))
    assert np.isfinite(points).all()
    np.testing.assert_array_equal(space.control_points(space.theta(points)), points)


@EVERY
def test_u_is_always_in_order_from_0_to_1(space: SearchSpace) -> None:
    u = space.control_points(random_theta(space))[..., 0]
    assert (u[:, 0] == 0).all() and (u[:, -1] == 1).all()
    assert (np.diff(u) >= 0).all()


@EVERY
def test_identity_is_the_diagonal(space: SearchSpace) -> None:
    points = space.control_points(space.identity())
    np.testing.assert_allclose(points[..., 1], points[..., 0], rtol=1e-14)


@EVERY
def test_each_constraint_does_what_it_says(space: SearchSpace) -> None:
    v = np.stack([space.control_points(random_theta(space, s))[..., 1] for s in range(10)])
    assert ((v >= 0) & (v <= 1)).all()
    assert (v[..., 0] == 0).all() == space.constraints.truth_table
    assert (v[..., -1] == 1).all() == space.constraints.truth_table
    can_fall = not space.constraints.monotone
    if v.shape[-1] == 3 and space.constraints.truth_table:
        can_fall = False  # one inner point between 0 and 1
    assert bool((np.diff(v) < 0).any()) == can_fall


def test_free_ends_have_coordinates() -> None:
    space = SearchSpace("mAcc", "linear", 2, Constraints(truth_table=False, monotone=False))
    assert space.names == ["and.B1.u", "and.B1.v", "and.start.v", "and.end.v"]
    points = space.control_points([0.3, 0.9, 0.6, 0.2])[0]
    np.testing.assert_allclose(points, [(0, 0.6), (0.3, 0.9), (1, 0.2)], rtol=1e-15)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("dice",), "Unknown metric 'dice'; known metrics: mIoU"),
        (("mIoU", "cubic"), "Unknown surface 'cubic'; known surfaces: bezier, linear"),
        (("mIoU", "bezier", 0), "bezier curve needs at least 1 pieces .* got pieces=0"),
        (("mIoU", "linear", 1), "linear curve needs at least 2 pieces .* got pieces=1"),
        (("mIoU", "bezier", -2), "got pieces=-2"),
    ],
)
def test_unknown_spaces(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SearchSpace(*arguments)


@pytest.mark.parametrize(
    ("theta", "words"),
    [
        ([0.5] * 5, r"Expected 6 coordinates for mAcc, got shape \(5,\)"),
        ([[0.5] * 6], r"got shape \(1, 6\)"),
        ([0.5] * 5 + [1.1], r"must lie in \[0, 1\]; got .*1\.1"),
        ([-1e-9] + [0.5] * 5, r"must lie in \[0, 1\]"),
        ([float("nan")] + [0.5] * 5, r"must lie in \[0, 1\]; got \[nan"),
    ],
)
def test_bad_coordinates(theta: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SearchSpace("mAcc").control_points(theta)


def test_bad_control_points() -> None:
    with pytest.raises(ValueError, match=r"control points of shape \(1, 5, 2\) .* got \(1, 4, 2\)"):
        SearchSpace("mAcc").theta(np.zeros((1, 4, 2)))


@pytest.mark.parametrize("constraints", [Constraints(), Constraints(truth_table=False)])
def test_a_space_survives_json(constraints: Constraints) -> None:
    space = SearchSpace("BF1", "linear", 3, constraints)
    again = SearchSpace.from_dict(json.loads(json.dumps(space.to_dict())))
    assert again == space
    assert hash(again) == hash(space)
    assert again != SearchSpace("BF1", "linear", 3, Constraints(monotone=False))
