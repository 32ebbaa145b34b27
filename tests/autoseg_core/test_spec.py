"""LossSpec: exact JSON round trip; one clear message for everything that can be wrong in a file."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import samples
from pydantic import ValidationError

from autoseg_core import (
    Constraints,
    LossSpec,
    LossTerm,
    Provenance,
    SearchSpace,
    load_spec,
    search_space,
)
from autoseg_core.spec import FORMAT, SpecError

PROVENANCE = Provenance(
    dataset="VOC ü", lr=0.1, batch=8, iterations=100, seed=3, reward=1 / 3, code_version="0.1",
    reported={"val": {"mIoU": 80.97}},
)  # fmt: skip
SPEC = LossSpec(
    name="both",
    terms=(samples.term("mIoU", weight=0.1), samples.term("BF1", "linear", absent="zero")),
    provenance=PROVENANCE,
)


def changed(path: str, value: Any) -> str:
    """The JSON of ``SPEC`` with the entry at a dotted path replaced or added."""
    data = json.loads(SPEC.to_json())
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    entry = data
    for parent in parents:
        entry = entry[parent]
    entry[last] = value
    return json.dumps(data)


@pytest.mark.parametrize(("metric", "surface"), samples.TERMS)
@pytest.mark.parametrize("flags", list(product([True, False], repeat=2)))
def test_json_round_trips_exactly(metric: str, surface: str, flags: tuple[bool, bool]) -> None:
    space = SearchSpace(metric, surface, 3, Constraints(*flags))
    theta = np.random.default_rng(0).random(space.dim)
    term = samples.term_at(space, theta, weight=1 / 7, tolerance=3, drop_background=True)
    spec = LossSpec(name="s", terms=(term,), provenance=PROVENANCE)
    again = LossSpec.from_json(spec.to_json())
    assert again == spec
    assert again.to_json() == spec.to_json()
    points = again.terms[0].control_points
    np.testing.assert_array_equal(points, space.control_points(theta))


def test_numbers_keep_every_bit() -> None:
    awkward = (0.1 + 0.2, 5e-324, 1 - 2**-53, 2**-1074 * 3)
    curve = ((0.0, 0.0), *((u, u) for u in sorted(awkward)), (1.0, 1.0))
    term = LossTerm(metric="mAcc", surface="linear", pieces=5, control_points=(curve,))
    again = LossSpec.from_json(LossSpec(name="s", terms=(term,)).to_json())
    assert again.terms[0].control_points == (curve,)


def test_defaults_of_a_short_file() -> None:
    points = [[[0, 0], [0.5, 0.5], [1, 1]]]
    term = {"metric": "mAcc", "pieces": 1, "control_points": points}
    spec = LossSpec.from_json(json.dumps({"name": "short", "terms": [term]}))
    assert spec.format == FORMAT
    assert spec.terms[0].surface == "bezier"
    assert spec.terms[0].absent == "ignore"
    assert spec.terms[0].tolerance == 5
    assert spec.terms[0].weight == 1


CURVE = [[0.0, 0.0], [0.2, 0.2], [0.4, 0.4], [0.6, 0.6], [1.0, 1.0]]


def curve(index: int, point: list[float]) -> list[list[float]]:
    return [point if i == index else list(p) for i, p in enumerate(CURVE)]


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("pieces", 1, "pieces: unknown key; known keys: format, name, terms, combine, scale"),
        ("terms.0.absnt", 0, "terms.0.absnt: unknown key; known keys: metric, surface, pieces"),
        ("provenance.learning_rate", 1, "known keys: dataset, network, lr, batch, iterations"),
        ("terms.0.metric", "dice", "Unknown metric 'dice'; known metrics: mIoU, FWIoU, mAcc, gAcc"),
        ("terms.0.surface", "cubic", "Unknown surface 'cubic'; known surfaces: bezier, linear"),
        ("terms.0.absent", "skip", "terms.0.absent: .*'ignore' or 'zero'"),
        ("terms.0.pieces", 0, "terms.0.pieces: .*greater than or equal to 1"),
        ("terms.0.pieces", 3, "Curve 'and': expected 7 control points with both ends, got 5"),
        ("terms.0.weight", 0, "terms.0.weight: .*greater than or equal to 0.000000000000001"),
        ("terms.0.weight", 2e6, "terms.0.weight: .*less than or equal to 1000000"),
        ("terms.0.weight", "1", "terms.0.weight: .*valid number"),
        ("scale", 0, "scale: .*greater than or equal to 0.000000000000001"),
        ("scale", 2e6, "scale: .*less than or equal to 1000000"),
        ("scale", float("inf"), "scale: .*finite number"),
        ("scale", "1", "scale: .*valid number"),
        ("terms.0.tolerance", -1, "terms.0.tolerance: .*greater than or equal to 0"),
        ("terms.0.tolerance", 1001, "terms.0.tolerance: .*less than or equal to 1000"),
        ("terms.0.tolerance", 1.5, "terms.0.tolerance: .*integer"),
        ("terms.0.drop_background", "no", "terms.0.drop_background: .*valid boolean"),
        ("terms", [], "terms: .*at least 1 item"),
        ("name", 3, "name: .*valid string"),
        ("combine", "mean", "combine: .*'sum' or 'product'"),
        ("combine", "product", r"a product has no weights: set every weight to 1, got \[0\.1, 1"),
        ("terms.0.control_points", [CURVE], r"mIoU has 2 curves \(and, or\), got 1"),
        ("terms.0.control_points.1", CURVE[:-1], "Curve 'or': expected 5 control points .* got 4"),
        ("terms.0.control_points.0.1", [0.2], "terms.0.control_points.0.1"),
        ("terms.0.control_points.0", curve(1, [1.2, 0.2]), r"must lie in \[0, 1\], got .*1\.2"),
        ("terms.0.control_points.0", curve(1, [-0.1, 0.2]), r"must lie in \[0, 1\], got .*-0\.1"),
        ("terms.0.control_points.0", curve(2, [0.1, 0.4]), "Curve 'and': u must not fall"),
        ("terms.0.control_points.0", curve(2, [0.4, 0.1]), "v must not fall, .*monotone to false"),
        ("terms.0.control_points.0", curve(0, [0.1, 0.0]), r"u must run from 0 to 1, got 0\.1"),
        ("terms.0.control_points.0", curve(4, [0.9, 1.0]), r"u must run from 0 to 1, .* to 0\.9"),
        ("terms.0.control_points.1", curve(4, [1.0, 0.9]), "truth table needs v = 0 and 1 .*0.9"),
        ("terms.0.control_points.1", curve(1, [float("nan"), 0.2]), "finite number"),
        ("terms.0.control_points.1", curve(1, [float("inf"), 0.2]), "finite number"),
        ("provenance.reward", float("nan"), "provenance.reward: .*finite number"),
        ("format", FORMAT + 1, f"format {FORMAT + 1}; this version reads up to {FORMAT}.*Upgrade"),
        ("format", 0, "format: .*1"),
        ("format", "1", "format: .*1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(path: str, value: Any, words: str) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        LossSpec.from_json(changed(path, value), origin="my.json")
    assert str(caught.value).startswith("my.json ")


@pytest.mark.parametrize("key", ["name", "terms", "terms.0.metric", "terms.0.control_points"])
def test_a_missing_key_is_named(key: str) -> None:
    data = json.loads(SPEC.to_json())
    *parents, last = key.split(".")
    del (data["terms"][0] if parents else data)[last]
    with pytest.raises(SpecError, match=f"{key}: Field required"):
        LossSpec.from_json(json.dumps(data))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99])
def test_a_truncated_file_is_called_that(share: float) -> None:
    text = SPEC.to_json()
    with pytest.raises(SpecError, match=r"not complete JSON \(.*line \d+ column \d+.*truncated"):
        LossSpec.from_json(text[: int(share * len(text))])


@pytest.mark.parametrize("text", ["{'name': 1}", "name: x", "{]", "\0\0\0", "\ufeff{}", "{} {}"])
def test_malformed_json(text: str) -> None:
    with pytest.raises(SpecError, match="is not complete JSON"):
        LossSpec.from_json(text)


@pytest.mark.parametrize(
    "text",
    ["[" * 200_000, '{"a":' * 200_000, '{"format": ' + "9" * 5000 + "}"],
    ids=["deep lists", "deep objects", "a huge number"],
)
def test_json_that_overwhelms_the_parser(text: str) -> None:
    with pytest.raises(SpecError):
        LossSpec.from_json(text)


@pytest.mark.parametrize(("text", "kind"), [("[]", "list"), ("3", "int"), ("null", "NoneType")])
def test_json_that_is_no_object(text: str, kind: str) -> None:
    with pytest.raises(SpecError, match=f"holds a JSON {kind}, expected an object"):
        LossSpec.from_json(text)


def test_constructed_in_code_the_same_rules_hold() -> None:
    points = tuple(tuple(map(tuple, CURVE)) for _ in range(2))
    with pytest.raises(ValidationError, match="Unknown metric 'miou'"):
        LossTerm(metric="miou", pieces=2, control_points=points)
    with pytest.raises(ValidationError, match="expected 3 control points with both ends, got 5"):
        LossTerm(metric="mIoU", pieces=1, control_points=points)
    with pytest.raises(ValidationError, match="frozen"):
        SPEC.name = "other"


@pytest.mark.parametrize(("metric", "surface"), samples.TERMS)
def test_lifted_constraints_are_needed_for_such_points(metric: str, surface: str) -> None:
    space = SearchSpace(metric, surface, 4, Constraints(truth_table=False, monotone=False))
    term = samples.term_at(space, np.random.default_rng(1).random(space.dim))
    data = term.model_dump()
    for flag, words in (("truth_table", "the truth table needs"), ("monotone", "v must not fall")):
        with pytest.raises(ValidationError, match=words):
            LossTerm(**{**data, flag: True})


def test_a_sum_is_written_as_before_there_were_products() -> None:
    assert "combine" not in json.loads(SPEC.to_json())
    assert LossSpec.from_json(SPEC.to_json()).combine == "sum"


def test_a_loss_without_a_scale_is_written_as_before_there_were_scales() -> None:
    assert "scale" not in json.loads(SPEC.to_json())
    assert LossSpec.from_json(SPEC.to_json()).scale == 1


def test_a_scale_round_trips_and_multiplies() -> None:
    scaled = SPEC.scaled(1 / 3)
    assert json.loads(scaled.to_json())["scale"] == 1 / 3
    assert LossSpec.from_json(scaled.to_json()) == scaled != SPEC
    assert scaled.scaled(6.0).scale == pytest.approx(2)
    assert scaled.scaled(6.0).terms == SPEC.terms
    assert scaled.scaled(6.0).provenance == SPEC.provenance


@pytest.mark.parametrize("factor", [0.0, -1.0, 1e7, float("nan"), float("inf")])
def test_a_factor_out_of_bounds_is_refused(factor: float) -> None:
    with pytest.raises(SpecError, match="Not a loss spec: scale: "):
        SPEC.scaled(factor)


def test_a_product_round_trips() -> None:
    terms = samples.term("mIoU"), samples.term("BF1")
    spec = LossSpec.of_terms("both", *terms, combine="product")
    assert json.loads(spec.to_json())["combine"] == "product"
    assert LossSpec.from_json(spec.to_json()) == spec != LossSpec.of_terms("both", *terms)


@pytest.mark.parametrize(
    ("objective", "metrics", "weights", "combine"),
    [
        ("mIoU", ["mIoU"], [1], "sum"),
        ("mIoU+3*BF1", ["mIoU", "BF1"], [0.25, 0.75], "sum"),
        ("mIoU*BF1", ["mIoU", "BF1"], [1, 1], "product"),
        ("BIoU | mIoU>=0.5", ["BIoU"], [1], "sum"),
    ],
)
def test_the_spec_at_a_theta_of_an_objective(
    objective: str, metrics: list[str], weights: list[float], combine: str
) -> None:
    space = search_space(objective)
    theta = np.random.default_rng(0).random(space.dim)
    spec = LossSpec.from_theta("found", space, theta, tolerance=3)
    assert [term.metric for term in spec.terms] == metrics
    assert [term.weight for term in spec.terms] == weights
    assert [term.tolerance for term in spec.terms] == [3] * len(metrics)
    assert spec.combine == combine
    points = [curve for term in spec.terms for curve in term.control_points]
    for own, expected in zip(points, space.control_points(theta), strict=True):
        np.testing.assert_array_equal(own, expected)
    assert LossSpec.from_json(spec.to_json()) == spec


def test_saving_replaces_the_file_at_once(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "loss.json"
    SPEC.save(path)
    assert load_spec(path) == load_spec(str(path)) == SPEC
    written = path.read_text()
    broken = SPEC.model_copy(update={"name": "\ud800"})  # cannot be encoded
    with pytest.raises((UnicodeEncodeError, ValueError)):
        broken.save(path)
    assert path.read_text() == written
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(5, "killed")))
    with pytest.raises(OSError, match="killed"):
        SPEC.model_copy(update={"name": "other"}).save(path)
    assert path.read_text() == written
