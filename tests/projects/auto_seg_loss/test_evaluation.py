"""evaluation.py: the exact scores in percent, streamed, from one process or several."""

from __future__ import annotations

import json
import math
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from samples import label_maps, with_void

from auto_seg_loss.data import read_label
from auto_seg_loss.evaluation import SegmentationScoresEvaluator, class_table
from autoseg_core import PAPER_METRICS, SegmentationScores

CLASSES = ["sky", "road", "car", "pole", "never"]
IGNORE_LABEL = 11  # of the files; 255 in memory
TWO_PROCESSES = Path(__file__).parents[1] / "helpers" / "two_processes.py"


class Case:
    """Five label files of different sizes, without the last class, and logits for each."""

    def __init__(self, directory: Path) -> None:
        rng = np.random.default_rng(0)
        self.dicts, self.targets, self.logits = [], [], []
        for index, (height, width) in enumerate([(20, 24), (16, 30), (33, 21), (20, 24), (9, 9)]):
            label = with_void(rng, label_maps(rng, 4, (1, height, width)))[0]
            path = directory / f"{index}.png"
            in_file = np.where(label == 255, IGNORE_LABEL, label).astype(np.uint8)
            Image.fromarray(in_file).save(path)
            self.dicts.append({"file_name": f"{index}.jpg", "sem_seg_file_name": str(path)})
            self.targets.append(label)
            logits = torch.from_numpy(rng.normal(size=(5, height, width)))
            hint = torch.nn.functional.one_hot(torch.from_numpy(label).clamp(max=4), 5)
            self.logits.append(logits + hint.movedim(-1, 0))

    def evaluator(self, **settings) -> SegmentationScoresEvaluator:
        return SegmentationScoresEvaluator(self.dicts, CLASSES, IGNORE_LABEL, **settings)

    def process(self, evaluator: SegmentationScoresEvaluator, batch: int = 1) -> None:
        for start in range(0, len(self.dicts), batch):
            outputs = [{"sem_seg": logits} for logits in self.logits[start : start + batch]]
            evaluator.process(self.dicts[start : start + batch], outputs)

    def expected(self, **settings) -> SegmentationScores:
        scores = SegmentationScores(5, 255, **settings)
        for logits, target in zip(self.logits, self.targets, strict=True):
            scores.update(logits.argmax(0), target)
        return scores


@pytest.fixture
def case(tmp_path) -> Case:
    return Case(tmp_path)


SETTINGS = [
    {},
    {"protocol": "paper"},
    {"tolerance": 1},
    {"metrics": (*PAPER_METRICS, "Dice", "BoundaryIoU(radius=1)")},
    {"drop_background": True, "protocol": "paper", "tolerance": 2},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("batch", [1, 2])
def test_scores_are_those_of_segmentation_scores_in_percent(case, settings, batch):
    evaluator, expected = case.evaluator(**settings), case.expected(**settings)
    evaluator.reset()
    case.process(evaluator, batch)
    results = evaluator.evaluate()
    assert list(results) == ["sem_seg"]
    scores = results["sem_seg"]
    assert list(scores)[:6] == list(PAPER_METRICS)
    for name, value in expected.compute().items():
        assert scores[name] == 100 * value
    for column, values in expected.per_class().items():
        mine = [scores[f"{column}-{name}"] / 100 for name in CLASSES]
        np.testing.assert_allclose(mine, values, rtol=1e-12)


@pytest.mark.parametrize("protocol, other", [("strict", "paper"), ("paper", "strict")])
def test_further_protocols_are_scored_in_the_same_pass(case, monkeypatch, protocol, other):
    reads = []
    monkeypatch.setattr(
        "auto_seg_loss.evaluation.read_label",
        lambda *arguments, **settings: (
            reads.append(arguments) or read_label(*arguments, **settings)
        ),
    )
    evaluator = case.evaluator(protocol=protocol, also=[other])
    evaluator.reset()
    case.process(evaluator)
    results = evaluator.evaluate()
    assert list(results) == ["sem_seg", f"sem_seg_{other}"]
    assert len(reads) == len(case.dicts)
    for entry, kind in zip(results.values(), (protocol, other), strict=True):
        alone = case.evaluator(protocol=kind)
        case.process(alone)
        assert str(entry) == str(alone.evaluate()["sem_seg"])
    assert results["sem_seg"] != results[f"sem_seg_{other}"]


def test_protocols_are_shown_in_one_table(case, caplog):
    evaluator = case.evaluator(also=["paper"])
    case.process(evaluator)
    with caplog.at_level("INFO", logger="auto_seg_loss"):
        evaluator.evaluate()
    table = caplog.records[-1].getMessage().splitlines()
    assert [line.split()[0] for line in table[1:]] == ["protocol", "----------", "strict", "paper"]


def test_reset_forgets_every_protocol(case):
    evaluator = case.evaluator(also=["paper"])
    case.process(evaluator)
    first = evaluator.evaluate()
    evaluator.reset()
    case.process(evaluator)
    assert str(evaluator.evaluate()) == str(first)


def test_every_class_has_four_scores_and_an_absent_one_nan(case):
    evaluator = case.evaluator()
    case.process(evaluator)
    scores = evaluator.evaluate()["sem_seg"]
    per_class = {f"{column}-{name}" for column in ("IoU", "Acc", "BIoU", "BF1") for name in CLASSES}
    assert set(scores) == {*PAPER_METRICS, *per_class}
    assert {key for key in scores if math.isnan(scores[key])} == {
        key for key in per_class if key.endswith("-never")
    }


def test_reset_forgets(case):
    evaluator = case.evaluator()
    case.process(evaluator)
    first = evaluator.evaluate()
    evaluator.reset()
    case.process(evaluator)
    assert str(evaluator.evaluate()) == str(first)  # as text: NaN equals NaN


def test_nothing_seen_gives_nan_not_an_error(case):
    scores = case.evaluator().evaluate()["sem_seg"]
    assert all(math.isnan(value) for value in scores.values())


def test_no_prediction_is_kept(case):
    evaluator = case.evaluator()
    case.process(evaluator)
    before = len(pickle.dumps(vars(evaluator)))
    case.process(evaluator)
    assert len(pickle.dumps(vars(evaluator))) == before


@pytest.mark.parametrize("share", [1, 4, 5], ids=lambda share: f"{share} and {5 - share}")
def test_two_processes_give_the_result_of_one(case, tmp_path, scripts, share):
    content = {
        "dicts": case.dicts,
        "class_names": CLASSES,
        "ignore_label": IGNORE_LABEL,
        "also": ["paper"],
    }
    (tmp_path / "case.json").write_text(json.dumps(content))
    torch.save(case.logits, tmp_path / "logits.pt")
    scripts.run(str(TWO_PROCESSES), tmp_path, share).assert_ok()
    evaluator = case.evaluator(also=["paper"])
    case.process(evaluator)
    alone = json.loads(json.dumps(evaluator.evaluate()))
    main, other = json.loads((tmp_path / "results.json").read_text())
    assert other == [None, None]
    assert [str(result) for result in main] == [str(alone)] * 2


def test_a_prediction_of_another_size_is_refused(case):
    with pytest.raises(ValueError, match="same shape"):
        case.evaluator().process(case.dicts[:1], [{"sem_seg": torch.zeros(5, 7, 7)}])


def test_a_label_outside_the_classes_names_the_file(case, tmp_path):
    Image.fromarray(np.full((20, 24), 9, np.uint8)).save(tmp_path / "0.png")
    with pytest.raises(ValueError, match=r"0\.png: label values 9"):
        case.process(case.evaluator())


def test_ties_and_dtypes(case):
    """Half precision outputs, and equal logits: the first class wins, as in argmax."""
    path = case.dicts[0]["sem_seg_file_name"]
    Image.fromarray(np.zeros((20, 24), np.uint8)).save(path)
    evaluator = case.evaluator()
    zeros = torch.zeros(5, 20, 24, dtype=torch.float16)
    evaluator.process(case.dicts[:1], [{"sem_seg": zeros}])
    assert evaluator.evaluate()["sem_seg"]["gAcc"] == 100


def test_class_table_shows_a_dash_for_absent_classes():
    table = class_table(["sky", "car"], {"IoU": [0.5, math.nan], "Acc": [1.0, math.nan]})
    header, _, sky, car = (line.split() for line in table.splitlines())
    assert header == ["class", "IoU", "Acc"]
    assert sky == ["sky", "50.00", "100.00"]
    assert car == ["car", "-", "-"]


def test_the_table_is_logged(case, caplog):
    evaluator = case.evaluator()
    case.process(evaluator)
    with caplog.at_level("INFO", logger="auto_seg_loss"):
        evaluator.evaluate()
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert all(word in text for word in (*PAPER_METRICS, *CLASSES, "-"))
    (share,) = re.findall(r"Scoring took ([\d.]+) % of the evaluation's time", text)
    assert 0 < float(share) < 100
