"""The space of an objective: its metrics' spaces one after the other."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from autoseg_core import Constraints, JointSpace, Objective, SearchSpace, search_space
from autoseg_core.surfaces.joint import space_from_dict

OBJECTIVES = ["mIoU+BF1", "0.3*mAcc+BF1", "BF1*mIoU", "mAcc | mIoU>=0.5", "2*mIoU"]
EVERY = pytest.mark.parametrize("objective", OBJECTIVES)


def test_by_hand() -> None:
    space = JointSpace("mAcc+BF1")
    assert space.dim == 6 + 8
    assert space.names[:2] == ["mAcc.and.B1.u", "mAcc.and.B1.v"]
    assert space.names[6] == "BF1.and_probability.B1.u"
    assert space.curves[:2] == ("mAcc.and", "BF1.and_probability")
    theta = np.arange(14) / 14
    points = space.control_points(theta)
    assert [curve.shape for curve in points] == [(5, 2)] + [(3, 2)] * 4
    np.testing.assert_array_equal(points[0], SearchSpace("mAcc").control_points(theta[:6])[0])
    np.testing.assert_array_equal(points[1:], SearchSpace("BF1").control_points(theta[6:]))


@EVERY
@pytest.mark.parametrize("surface", ["bezier", "linear"])
@pytest.mark.parametrize("constraints", [Constraints(), Constraints(False, False)])
def test_round_trips(objective: str, surface: str, constraints: Constraints) -> None:
    space = JointSpace(objective, surface, 3, constraints)
    theta = np.random.default_rng(0).random(space.dim)
    np.testing.assert_allclose(space.theta(space.control_points(theta)), theta, rtol=1e-9)
    assert len(set(space.names)) == space.dim
    again = space_from_dict(json.loads(json.dumps(space.to_dict())))
    assert again == space and hash(again) == hash(space)
    assert JointSpace(str(space.objective), surface, [3] * len(space.parts), constraints) == space


@EVERY
def test_the_identity_is_the_diagonal(objective: str) -> None:
    space = JointSpace(objective)
    for curve in space.control_points(space.identity()):
        np.testing.assert_allclose(curve[:, 0], curve[:, 1], rtol=1e-14)


def test_equal_means_the_same_curves_and_objective() -> None:
    space = JointSpace("mIoU+BF1")
    others: list[Any] = [
        JointSpace("BF1+mIoU"), JointSpace("mIoU+2*BF1"), JointSpace("mIoU*BF1"),
        JointSpace("mIoU+BF1 | mAcc>=0.5"), JointSpace("mIoU+BF1", "linear"),
        JointSpace("mIoU+BF1", pieces=3), SearchSpace("mIoU"),
    ]  # fmt: skip
    assert all(space != other for other in others)
    assert space == JointSpace(Objective.parse(" mIoU + 1.0*BF1"), pieces=[2, 1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mIoU", SearchSpace("mIoU", "linear", 3)),
        (" 1*mIoU ", SearchSpace("mIoU", "linear", 3)),
        ("Fbeta(beta=2.0)", SearchSpace("Fbeta(beta=2)", "linear", 3)),
        ("mIoU+BF1", JointSpace("mIoU+BF1", "linear", 3)),
        ("mIoU | mAcc>=0.5", JointSpace("mIoU | mAcc>=0.5", "linear", 3)),
    ],
)
def test_the_space_of_a_text(text: str, expected: Any) -> None:
    space = search_space(text, "linear", 3)
    assert type(space) is type(expected)
    assert space == expected == space_from_dict(space.to_dict())


def test_a_metric_alone_is_a_space_of_one_part() -> None:
    space = SearchSpace("mIoU")
    assert space.parts == (space,)
    assert space.objective == Objective.parse("mIoU")
    np.testing.assert_array_equal(space.split(space.identity()), [space.identity()])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: JointSpace("mIoU+Foo"), "Unknown metric 'Foo'"),
        (lambda: JointSpace("mIoU+BF1", "cubic"), "Unknown surface 'cubic'"),
        (lambda: JointSpace("mIoU+BF1", "linear", 1), "needs at least 2 pieces"),
        (lambda: JointSpace("mIoU+BF1", pieces=[2]), r"each of mIoU, BF1, got \[2\]"),
        (
            lambda: JointSpace("mIoU+BF1").control_points([0.5] * 12),
            r"Expected 20 coordinates for mIoU\+BF1, got shape \(12,\)",
        ),
        (lambda: JointSpace("mIoU+BF1").control_points([1.5] * 20), r"must lie in \[0, 1\]"),
        (lambda: JointSpace("mIoU+BF1").theta([]), "control points of 6 curves .* got 0"),
    ],
)
def test_what_is_wrong_is_said(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
