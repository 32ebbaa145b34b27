"""The zoo: published losses by name, equal to their source and to the slow twin."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import references
import samples
import torch

from autoseg_core import PAPER_METRICS, RECOMMENDED, LossSpec, load_loss, load_spec
from autoseg_core.zoo import zoo_names

# Name: its id at the source, and sha256 of the control points as JSON, 16 digits. With the latter a
# slip of the hand shows without the source.
PUBLISHED = {
    "voc-miou-bezier": ("mIoU_new", "6d577d3a1695c29b"),
    "voc-miou-bezier-paper": ("mIoU_old", "ae02cf92a843c1d4"),
    "voc-fwiou-bezier": ("FWIoU_log", "2892904f26f226be"),
    "voc-fwiou-bezier-config": ("FWIoU_config", "ae02cf92a843c1d4"),
    "voc-biou-bezier": ("BIoU", "ae02cf92a843c1d4"),
    "voc-bf1-bezier": ("BF1", "7411d3b1b9fec41c"),
    "voc-macc-bezier": ("mAcc", "c26be3b0030726c5"),
    "voc-gacc-bezier": ("gAcc_config", "c26be3b0030726c5"),
    "voc-gacc-bezier-log": ("gAcc_log_decode_head", "20ad185572752568"),
}
EVERY = pytest.mark.parametrize("name", zoo_names())


@pytest.fixture(scope="module")
def vectors() -> dict[str, Any]:
    """The published vectors by id, where the file they were taken from lies beside the repo."""
    beside = Path(__file__).parents[4] / "shared" / "data"
    path = Path(os.environ.get("AUTOSEGLOSS_SHARED", beside)) / "searched_params.json"
    if not path.is_file():
        pytest.skip(f"no {path}; set AUTOSEGLOSS_SHARED to the folder that holds the file")
    return {entry["id"]: entry for entry in json.loads(path.read_text())}


@pytest.mark.parametrize("name", PUBLISHED)
def test_control_points_are_those_once_checked_against_the_source(name: str) -> None:
    points = [term.control_points for term in load_spec(name).terms]
    assert hashlib.sha256(json.dumps(points).encode()).hexdigest().startswith(PUBLISHED[name][1])


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_losses_are_those_of_the_source(name: str, vectors: dict[str, Any]) -> None:
    entry, spec = vectors[PUBLISHED[name][0]], load_spec(name)
    (term,) = spec.terms
    found = (term.metric, term.surface, term.pieces, term.drop_background, term.tolerance)
    expected = [entry[key] for key in ("metric", "parameterization", "pieces", "drop_bg", "tol")]
    assert found == (*expected[:4], expected[4] or 5)
    inner = [x for curve in term.control_points for point in curve[1:-1] for x in point]
    assert inner == entry["theta"]
    assert spec.provenance.source == entry["source"]
    log = entry["reported"]["log_final"]  # those of README and paper are not all of this vector
    assert spec.provenance.reported == ({"VOC val, released log": log} if log else {})


@EVERY
def test_the_loss_equals_the_slow_twin(name: str) -> None:
    loss = load_loss(name)
    logits, target = samples.batch(0, classes=7, present=5)

    def twin(logits: torch.Tensor) -> float:
        terms = [(term.weight, term.model_dump()) for term in loss.spec.terms]
        values = (w * references.surrogate_loss(term, logits, target) for w, term in terms)
        return loss.spec.scale * sum(values)

    assert float(loss(logits, target)) == pytest.approx(twin(logits), rel=1e-9)
    # In float32 a small loss is 1 - score: as exact as the spacing of numbers near 1.
    spacing = 2 * torch.finfo(torch.float32).eps
    single = logits.float()
    assert float(loss(single, target)) == pytest.approx(twin(single), rel=1e-6, abs=spacing)


@EVERY
def test_every_file_is_canonical(name: str) -> None:
    spec = load_spec(name)
    assert spec.name == name
    assert LossSpec.from_json(spec.to_json()) == spec


def test_every_metric_of_the_paper_has_a_recommended_loss_of_its_own() -> None:
    assert tuple(RECOMMENDED) == PAPER_METRICS
    assert not {metric.lower() for metric in RECOMMENDED} & set(zoo_names())


@pytest.mark.parametrize("metric", PAPER_METRICS)
@pytest.mark.parametrize("spelled", [str.lower, str.upper])
def test_a_metric_stands_for_its_recommended_loss(metric: str, spelled: Any) -> None:
    spec = load_spec(spelled(metric))
    assert spec == load_spec(spelled(RECOMMENDED[metric])) == load_loss(spelled(metric)).spec


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    own = load_spec("voc-macc-bezier")
    (tmp_path / "own.json").write_text(own.to_json(), encoding="utf-8-sig")
    assert load_spec(tmp_path / "own.json") == own


def test_a_file_called_as_a_metric_is_taken_only_as_a_path(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    own = load_spec("voc-macc-bezier")
    own.save("miou")
    assert load_spec("miou") == load_spec(RECOMMENDED["mIoU"])
    assert load_spec(Path("miou")) == load_spec("./miou") == own
