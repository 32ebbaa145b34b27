"""The search space: coordinates, constraints, round trips; of one target and of several."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import numpy as np
import pytest

from autoseg_core import Constraints, SearchSpace
from autoseg_core.surfaces import SURFACES

CONSTRAINTS = [Constraints(*flags) for flags in product([True, False], repeat=2)]
OBJECTIVES = ["BF1_difference", "0.3*mAcc+BF1", "mAcc | mIoU>=0.5"]
EVERY = pytest.mark.parametrize(
    "space",
    [SearchSpace(o, s, 3, c) for o, s, c in product(OBJECTIVES, SURFACES, CONSTRAINTS)],
    ids=repr,
)


def random_theta(space: SearchSpace, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).random(space.dim)


@pytest.mark.parametrize(
    ("metric", "dim"),
    [
        *(("mIoU", 12), ("FWIoU", 12), ("mAcc", 6), ("gAcc", 6), ("BIoU", 12), ("BF1", 8)),
        *(("BF1_difference", 6), ("mAcc+BF1", 14)),
    ],
)
@pytest.mark.parametrize("surface", SURFACES)
def test_dimensions_as_released(metric: str, dim: int, surface: str) -> None:
    space = SearchSpace(metric, surface)
    assert space.dim == dim
    assert len(set(space.names)) == dim


def test_identity_as_released() -> None:
    two_pieces = [1 / 4, 1 / 4, 1 / 3, 1 / 3, 1 / 2, 1 / 2]
    np.testing.assert_allclose(SearchSpace("mIoU").identity(), 2 * two_pieces, 1e-14)
    np.testing.assert_allclose(SearchSpace("BF1").identity(), [1 / 2] * 8, 1e-14)


def test_control_points_by_hand() -> None:
    space = SearchSpace("mAcc", "bezier", 2)
    assert space.names == ["and.B1.u", "and.B1.v", "and.B2.u", "and.B2.v", "and.B3.u", "and.B3.v"]
    (points,) = space.control_points([0.5, 0.2, 0.5, 0, 1, 0.5])
    expected = [(0, 0), (0.5, 0.2), (0.75, 0.2), (1, 0.6), (1, 1)]
    np.testing.assert_allclose(points, expected, rtol=1e-15)


def test_free_ends_have_coordinates() -> None:
    space = SearchSpace("mAcc", "linear", 2, Constraints(truth_table=False, monotone=False))
    assert space.names == ["and.B1.u", "and.B1.v", "and.start.v", "and.end.v"]
    (points,) = space.control_points([0.3, 0.9, 0.6, 0.2])
    np.testing.assert_allclose(points, [(0, 0.6), (0.3, 0.9), (1, 0.2)], rtol=1e-15)


def test_several_targets_stand_one_after_the_other() -> None:
    space = SearchSpace("mAcc+BF1")
    assert space.names[:2] == ["mAcc.and.B1.u", "mAcc.and.B1.v"]
    assert space.names[6] == "BF1.and_probability.B1.u"
    assert space.curves[:2] == ("mAcc.and", "BF1.and_probability")
    theta = np.arange(14) / 14
    points = space.control_points(theta)
    assert [curve.shape for curve in points] == [(5, 2)] + [(3, 2)] * 4
    np.testing.assert_array_equal(points[0], SearchSpace("mAcc").control_points(theta[:6])[0])
    np.testing.assert_array_equal(points[1:], SearchSpace("BF1").control_points(theta[6:]))


@EVERY
def test_round_trips(space: SearchSpace) -> None:
    theta = random_theta(space)
    points = space.control_points(theta)
    np.testing.assert_allclose(space.theta(points), theta, rtol=1e-9, atol=1e-12)
    for corner in (0.0, 1.0):
        points = space.control_points(np.full(space.dim, corner))
        np.testing.assert_array_equal(space.control_points(space.theta(points)), points)
    again = SearchSpace.from_dict(json.loads(json.dumps(space.to_dict())))
    assert again == space and hash(again) == hash(space)


def test_a_space_of_an_older_journal() -> None:
    constraints = {"truth_table": True, "monotone": False}
    old = {"metric": "BF1_difference", "surface": "linear", "pieces": 3, **constraints}
    expected = SearchSpace("BF1_difference", "linear", 3, Constraints(monotone=False))
    assert SearchSpace.from_dict(old) == expected


@EVERY
def test_curves_keep_the_constraints_and_only_those(space: SearchSpace) -> None:
    curves = np.stack([space.control_points(random_theta(space, seed)) for seed in range(10)])
    u, v = curves[..., 0], curves[..., 1]
    assert (u[..., 0] == 0).all() and (u[..., -1] == 1).all() and (np.diff(u) >= 0).all()
    assert ((v >= 0) & (v <= 1)).all()
    assert (v[..., 0] == 0).all() == (v[..., -1] == 1).all() == space.constraints.truth_table
    assert (np.diff(v) >= 0).all() == space.constraints.monotone
    for curve in space.control_points(space.identity()):
        np.testing.assert_allclose(curve[:, 1], curve[:, 0], rtol=1e-14)


def test_equal_means_the_same_curves_and_objective() -> None:
    space = SearchSpace("mIoU+BF1")
    others = ["BF1+mIoU", "mIoU+2*BF1", "mIoU*BF1", "mIoU+BF1 | mAcc>=0.5", "mIoU", "mIoU+Dice"]
    assert all(space != SearchSpace(other) for other in others)
    assert space != SearchSpace("mIoU+BF1", "linear") != SearchSpace("mIoU+BF1", "linear", 3)
    assert space == SearchSpace(" mIoU + 1.0*BF1", pieces=[2, 1])
