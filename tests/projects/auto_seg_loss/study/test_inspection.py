"""inspection.py and images.py: what is seen of a checkpoint of a network that knows little."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.data import DatasetCatalog
from PIL import Image

from auto_seg_loss.evaluation import build_evaluator, build_test_loader, evaluate
from auto_seg_loss.modeling import build_model
from auto_seg_loss.study.borders import border_length, jaggedness
from auto_seg_loss.study.finished import CellResult
from auto_seg_loss.study.images import pictures_of
from auto_seg_loss.study.inspection import inspect, missing_from, shown_records
from autoseg_core import PAPER_METRICS

TEST = "shapes_sem_seg_test"
ASKED = ("STUDY.TOLERANCES", "[1, 3]", "STUDY.BORDERS", True, "TEST.TOLERANCE", 3)


@pytest.fixture
def cell(make_study, weights):
    """The first cell of a study that asks for everything, with a checkpoint."""
    cell = make_study(*ASKED, "STUDY.IMAGES", 2).cells[0]
    cell.directory.mkdir(parents=True)
    (cell.directory / "model_final.pth").write_bytes(weights.read_bytes())
    return cell


@pytest.fixture
def trained(cell, weights):
    """The network of the checkpoint."""
    model = build_model(cell.config)
    DetectionCheckpointer(model).load(str(weights))
    return model


def test_borders_and_tolerances_are_those_of_the_evaluator(cell, trained):
    shown = inspect(cell.config, cell.directory / "model_final.pth")
    evaluator = build_evaluator(cell.config, DatasetCatalog.get(TEST), TEST)
    scores = evaluate(cell.config, trained, [evaluator])["sem_seg"]
    assert shown["scores"]["BF1@3"] == scores["BF1"]
    assert shown["scores"]["BIoU@3"] == scores["BIoU"]
    assert shown["scores"]["BF1@1"] < scores["BF1"]
    counts = evaluator.scores.counts["boundary"]
    assert shown["border_length"] == border_length(counts)
    assert shown["jaggedness"] == jaggedness(counts)
    assert json.loads(json.dumps(shown)) == shown, "it is kept as JSON"


def test_predictions_are_the_networks_and_spread_over_the_set(cell, trained):
    shown = inspect(cell.config, cell.directory / "model_final.pth")
    records = shown_records(cell.config)
    first, second, _ = DatasetCatalog.get(TEST)
    assert records == [first, second]  # steps of three halves: hooks.pictures.evenly_spread
    assert shown["images"] == [Path(one["file_name"]).name for one in records]
    trained.eval()
    for place, record in enumerate(records):
        (inputs,) = [
            batch
            for batch in build_test_loader(cell.config, DatasetCatalog.get(TEST))
            if batch[0]["file_name"] == record["file_name"]
        ]
        with torch.no_grad():
            expected = trained(inputs)[0]["sem_seg"].argmax(dim=0).numpy()
        found = np.asarray(Image.open(cell.directory / "predictions" / f"{place}.png"))
        np.testing.assert_array_equal(found, expected)


def test_pictures_show_the_same_images_for_every_cell(cell):
    shown = inspect(cell.config, cell.directory / "model_final.pth")
    scores = dict.fromkeys(PAPER_METRICS, 1.0)
    pictures = pictures_of(CellResult(cell, scores, shown))
    assert len(pictures) == 2
    assert {one.shape for shown in pictures for one in vars(shown).values()} == {(48, 64, 3)}
    assert pictures_of(CellResult(cell, scores)) == []
    others = {**shown, "images": shown["images"][:1]}  # of another STUDY.IMAGES
    assert pictures_of(CellResult(cell, scores, others)) == []
    assert pictures_of(CellResult(cell, reason="the disk is full")) == []


@pytest.mark.parametrize(
    "options, missing",
    [
        ((), False),
        (("STUDY.TOLERANCES", "[3]"), False),
        (("STUDY.BORDERS", False), False),
        (("STUDY.TOLERANCES", "[1, 2]"), True),
        (("STUDY.IMAGES", 1), True),
    ],
)
def test_what_an_inspection_lacks(make_study, cell, options, missing):
    shown = inspect(cell.config, cell.directory / "model_final.pth")
    other = make_study(*ASKED, "STUDY.IMAGES", 2, *options).cells[0]
    assert missing_from(shown, other.config) == missing
    assert missing_from({}, other.config)
