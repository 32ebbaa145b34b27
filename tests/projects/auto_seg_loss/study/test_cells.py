"""A cell of a study is trained once, and what is seen of its network."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from PIL import Image

from auto_seg_loss.evaluation import (
    SegmentationScoresEvaluator,
    build_evaluator,
    build_test_loader,
    evaluate,
)
from auto_seg_loss.study import trials as module
from auto_seg_loss.study.inspection import BORDERS, gallery, shown_records
from auto_seg_loss.study.run import is_complete
from auto_seg_loss.study.trials import complete, trained

TEST = "shapes_sem_seg_test"
SETTINGS = {"SOLVER": {"MOMENTUM": 0.9}}
ASKED = (
    *("STUDY.TOLERANCES", [1, 3], "STUDY.BORDERS", True, "TEST.TOLERANCE", 3),
    *("STUDY.IMAGES", 2, "STUDY.LOSSES", ["cross_entropy"], "STUDY.SEEDS", [1]),
)


@pytest.fixture
def steps(monkeypatch) -> list[int]:
    """The iterations that the calls of a training begin at; 4 is the end."""
    seen, original = [], module.Trainer.train

    def train(self):
        seen.append(self.start_iter)
        original(self)

    monkeypatch.setattr(module.Trainer, "train", train)
    return seen


@pytest.fixture
def cell(make_study, weights):
    """Of a study that asks for everything; from weights that know something."""
    return make_study(*ASKED, "MODEL.WEIGHTS", weights).cells[0]


def run(cell, trial=None, settings=SETTINGS):
    return complete(cell.config, trial or cell.trial, settings, cell.predictions)


def test_a_network_is_measured_and_its_predictions_are_kept(cell):
    result = run(cell)
    model = trained(cell.config, cell.trial, SETTINGS).model.eval()
    shown = result["scores"][TEST]
    evaluator = build_evaluator(cell.config, TEST)
    scores = evaluate(cell.config, model, [evaluator])["sem_seg"]
    for name in ("BF1", "BIoU"):
        assert 100 * shown[f"{name}@3"] == 100 * shown[name] == scores[name]
    assert shown["BF1@1"] < shown["BF1"]
    counts = evaluator.scores.counts["boundary"]
    assert {name: shown[name] for name in BORDERS} == {n: m(counts) for n, m in BORDERS.items()}

    folder = cell.predictions
    inputs = {
        b[0]["file_name"]: b for b in build_test_loader(cell.config, DatasetCatalog.get(TEST))
    }
    assert len(list(folder.iterdir())) == 2
    rows = gallery(cell.config, [folder], lambda _, labels, __: labels)
    for record, row in zip(shown_records(cell.config), rows, strict=True):
        with torch.no_grad():
            expected = model(inputs[record["file_name"]])[0]["sem_seg"].argmax(dim=0).numpy()
        image, truth, prediction = row
        np.testing.assert_array_equal(prediction, expected)
        with Image.open(record["sem_seg_file_name"]) as label:
            np.testing.assert_array_equal(truth, np.asarray(label))
        assert image.shape == (*truth.shape, 3)


def test_what_is_asked_for_later_is_measured_from_the_checkpoint(cell, make_study, weights, steps):
    options = (*ASKED, "MODEL.WEIGHTS", weights)
    first = make_study(*options, "STUDY.TOLERANCES", [1], "STUDY.BORDERS", False).cells[0]
    known = run(first)
    assert is_complete(first, known) and not is_complete(cell, known)
    result = run(cell)
    assert is_complete(cell, result) and is_complete(first, result)
    assert {name: result["scores"][TEST][name] for name in known["scores"][TEST]} == (
        known["scores"][TEST]
    )
    assert steps == [0, 4]


def test_a_training_that_was_cut_off_goes_on(cell, make_study, weights, steps):
    """And ends with what it would have ended with; another trial of the folder begins anew."""
    options = (*ASKED, "MODEL.WEIGHTS", weights, "SOLVER.CHECKPOINT_PERIOD", 2)
    cell = make_study(*options).cells[0]
    folder = Path(cell.config.OUTPUT_DIR)
    whole = run(cell)
    (folder / "model_final.pth").unlink()
    (folder / "last_checkpoint").write_text("model_0000001.pth")
    shutil.rmtree(folder / "predictions")
    assert run(cell) == whole
    other = replace(cell.trial, rate=0.125)
    run(cell, other)
    run(cell, other, {"SOLVER": {"MOMENTUM": 0.8}})
    assert steps == [0, 2, 0, 0]
    assert is_complete(cell, whole), "its predictions are kept"


def test_a_damaged_checkpoint_begins_its_cell_anew_and_says_so(cell, steps, caplog):
    whole, folder = run(cell), Path(cell.config.OUTPUT_DIR)
    for path in folder.glob("*.pth"):
        path.write_bytes(path.read_bytes()[:-100])
    shutil.rmtree(folder / "predictions")
    assert run(cell) == whole and steps == [0, 0]
    (warning,) = [r.getMessage() for r in caplog.records if "damaged" in r.getMessage()]
    assert str(folder) in warning and "from the start" in warning


def test_each_test_image_is_scored_once(make_study, monkeypatch):
    """By the training's own last evaluation, unless a study asks for more than it measures."""
    scored, original = [], SegmentationScoresEvaluator.process

    def process(self, inputs, outputs):
        scored.extend(one["file_name"] for one in inputs)
        original(self, inputs, outputs)

    monkeypatch.setattr(SegmentationScoresEvaluator, "process", process)
    run(make_study().cells[0])
    assert sorted(scored) == sorted(one["file_name"] for one in DatasetCatalog.get(TEST))


def test_a_training_that_diverges_has_no_scores(make_study):
    cell = make_study("SOLVER.BASE_LR", 1e20).cells[0]
    result = run(cell)
    assert result == {"scores": {}} and is_complete(cell, result)
