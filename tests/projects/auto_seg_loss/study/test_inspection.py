"""cells.py and inspection.py: what is seen of a checkpoint of a network that knows little."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.data import DatasetCatalog
from PIL import Image

from auto_seg_loss.evaluation import build_evaluator, build_test_loader, evaluate
from auto_seg_loss.modeling import build_model
from auto_seg_loss.study import cells
from auto_seg_loss.study.borders import BORDERS
from auto_seg_loss.study.cells import complete, is_complete, predictions_of
from auto_seg_loss.study.inspection import read_shown, shown_records

TEST = "shapes_sem_seg_test"
SETTINGS = {"SOLVER": {"MOMENTUM": 0.9}}
ASKED = (
    *("STUDY.TOLERANCES", [1, 3], "STUDY.BORDERS", True, "TEST.TOLERANCE", 3),
    *("STUDY.IMAGES", 2),
)


@pytest.fixture
def cell(make_study, weights):
    """The first cell of a study that asks for everything, with a checkpoint."""
    cell = make_study(*ASKED).cells[0]
    cell.directory.mkdir(parents=True)
    (cell.directory / "model_final.pth").write_bytes(weights.read_bytes())
    kept = {"trial": cell.trial.name, "settings": SETTINGS, "scores": {"mIoU": 0.5}}
    (cell.directory / "trained.json").write_text(json.dumps(kept))
    return cell


@pytest.fixture
def trained(cell, weights):
    """The network of the checkpoint."""
    model = build_model(cell.config)
    DetectionCheckpointer(model).load(str(weights))
    return model


def test_what_is_asked_for_later_is_measured_from_the_checkpoint(cell, trained, make_study):
    known = {"scores": {TEST: {"mIoU": 0.5}}}
    assert not is_complete(cell, known)
    result = complete(cell.config, known, cell.trial, SETTINGS)
    assert is_complete(cell, result)
    shown = result["scores"][TEST]
    assert shown["mIoU"] == 0.5, "what is known is not measured again"
    evaluator = build_evaluator(cell.config, DatasetCatalog.get(TEST), TEST)
    scores = evaluate(cell.config, trained, [evaluator])["sem_seg"]
    for name in ("BF1", "BIoU"):
        assert 100 * shown[f"{name}@3"] == 100 * shown[name] == scores[name]
    assert shown["BF1@1"] < shown["BF1"]
    counts = evaluator.scores.counts["boundary"]
    assert {name: shown[name] for name in BORDERS} == {n: m(counts) for n, m in BORDERS.items()}
    for options, done in ((("STUDY.TOLERANCES", [3]), 1), (("STUDY.TOLERANCES", [2]), 0)):
        other = make_study(*ASKED, *options).cells[0]
        assert is_complete(other, result) == bool(done)


def test_predictions_are_the_networks_and_spread_over_the_set(cell, trained):
    complete(cell.config, {}, cell.trial, SETTINGS)
    folder = predictions_of(cell.config, cell.trial)
    trained.eval()
    loader = build_test_loader(cell.config, DatasetCatalog.get(TEST))
    inputs = [batch[0] for batch in loader]
    assert len(list(folder.iterdir())) == 2
    for record in shown_records(cell.config):
        (own,) = [one for one in inputs if one["file_name"] == record["file_name"]]
        with torch.no_grad():
            expected = trained([own])[0]["sem_seg"].argmax(dim=0).numpy()
        image, truth, prediction = read_shown(cell.config, record, folder)
        np.testing.assert_array_equal(prediction, expected)
        with Image.open(record["sem_seg_file_name"]) as label:
            np.testing.assert_array_equal(truth, np.asarray(label))
        assert image.shape == (*truth.shape, 3)


def test_a_training_outlives_its_inspection(cell, weights, monkeypatch):
    """And it is that of one trial, and of one record, only."""
    trained = []

    def train_and_test(cfg):
        trained.append(cfg.SOLVER.BASE_LR)
        (cell.directory / "model_final.pth").write_bytes(weights.read_bytes())
        return {"mIoU": 0.25}

    monkeypatch.setattr(cells, "train_and_test", train_and_test)
    other = replace(cell.trial, rate=0.125)
    in_the_way = predictions_of(cell.config, other)
    in_the_way.parent.mkdir()
    in_the_way.touch()
    with pytest.raises(OSError, match="predictions"):
        complete(cell.config, {}, other, SETTINGS)
    assert len(trained) == 1, "the checkpoint was of another trial"
    in_the_way.unlink()
    assert complete(cell.config, {}, other, SETTINGS)["scores"][TEST]["mIoU"] == 0.25
    assert len(trained) == 1
    complete(cell.config, {}, other, {"SOLVER": {"MOMENTUM": 0.8}})
    assert len(trained) == 2


def test_another_trial_of_the_folder_leaves_the_predictions_of_the_first(cell, monkeypatch):
    first = complete(cell.config, {}, cell.trial, SETTINGS)
    kept = {path: path.read_bytes() for path in cell.directory.rglob("*.png")}
    monkeypatch.setattr(cells, "train_and_test", lambda cfg: {"mIoU": 0.25})
    other = replace(cell.trial, rate=0.125)
    complete(cell.config, {}, other, SETTINGS)
    assert is_complete(cell, first) and len(kept) == 2
    assert {path: path.read_bytes() for path in kept} == kept
    assert len(list(predictions_of(cell.config, other).iterdir())) == 2


def test_a_training_that_diverges_has_no_scores(make_study):
    cell = make_study("SOLVER.BASE_LR", 1e20).cells[0]
    result = complete(cell.config, {}, cell.trial, SETTINGS)
    assert result == {"scores": {}} and is_complete(cell, result)
