"""LossSpec: exact JSON round trip; one clear message for everything that can be wrong in a file."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
import samples

from autoseg_core import Constraints, LossSpec, Provenance, SearchSpace
from autoseg_core.spec import FORMAT

PROVENANCE = Provenance(
    dataset="VOC ü", lr=0.1, batch=8, iterations=100, seed=3, reward=1 / 3, code_version="0.1",
    reported={"val": {"mIoU": 80.97}},
)  # fmt: skip
SPEC = LossSpec(
    name="both",
    terms=(samples.term("mIoU", weight=0.1), samples.term("BF1", "linear", absent="zero")),
    provenance=PROVENANCE,
)


@pytest.mark.parametrize("flags", list(product([True, False], repeat=2)))
@pytest.mark.parametrize("objective", ["mIoU", "BF1_difference", "0.25*BIoU+BF1", "mIoU*BF1"])
def test_json_round_trips_exactly(objective: str, flags: tuple[bool, bool]) -> None:
    space = SearchSpace(objective, "linear", 3, Constraints(*flags))
    theta = np.random.default_rng(0).random(space.dim)
    spec = LossSpec.from_theta("s", space, theta, tolerance=3, drop_background=True)
    again = LossSpec.from_json(spec.to_json())
    assert again == spec and again.to_json() == spec.to_json()
    points = [curve for term in again.terms for curve in term.control_points]
    for own, expected in zip(points, space.control_points(theta), strict=True):
        np.testing.assert_array_equal(own, expected)


def test_defaults_of_a_short_file() -> None:
    points = [[[0, 0], [0.5, 0.5], [1, 1]]]
    term = {"metric": "mAcc", "pieces": 1, "control_points": points}
    spec = LossSpec.from_json(json.dumps({"name": "short", "terms": [term]}))
    assert spec.format == FORMAT
    (read,) = spec.terms
    assert (read.surface, read.absent, read.tolerance, read.weight) == ("bezier", "ignore", 5, 1)
    usual = {"combine", "scale", "void_edges", "surrogate"}
    assert not usual & {*json.loads(spec.to_json()), *json.loads(spec.to_json())["terms"][0]}


def test_a_scale_round_trips_and_multiplies() -> None:
    scaled = SPEC.scaled(1 / 3)
    assert json.loads(scaled.to_json())["scale"] == 1 / 3
    assert LossSpec.from_json(scaled.to_json()) == scaled != SPEC
    again = scaled.scaled(6.0)
    assert again.scale == pytest.approx(2)
    assert (again.terms, again.provenance) == (SPEC.terms, SPEC.provenance)
