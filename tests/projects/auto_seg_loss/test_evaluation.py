"""evaluation.py: the exact scores in percent, streamed, from one process or several."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.utils import comm
from PIL import Image
from samples import label_maps, with_void

from auto_seg_loss.evaluation import SegmentationScoresEvaluator
from autoseg_core import PAPER_METRICS, SegmentationScores

CLASSES = ["sky", "road", "car", "pole", "never"]
RULE = {"num_classes": 5, "ignore_label": 11}  # void is 255 in memory
ALL = slice(None)


class Case:
    """Five label files of different sizes, without the last class, and logits for each."""

    def __init__(self, directory: Path) -> None:
        rng = np.random.default_rng(0)
        self.dicts, self.targets, self.logits = [], [], []
        for index, (height, width) in enumerate([(20, 24), (16, 30), (33, 21), (20, 24), (9, 9)]):
            label = with_void(rng, label_maps(rng, 4, (1, height, width)))[0]
            path = directory / f"{index}.png"
            in_file = np.where(label == 255, RULE["ignore_label"], label).astype(np.uint8)
            Image.fromarray(in_file).save(path)
            self.dicts.append({"file_name": f"{index}.jpg", "sem_seg_file_name": str(path)})
            self.targets.append(label)
            logits = torch.from_numpy(rng.normal(size=(5, height, width)))
            hint = torch.nn.functional.one_hot(torch.from_numpy(label).clamp(max=4), 5)
            self.logits.append(logits + hint.movedim(-1, 0))

    def evaluator(self, **settings) -> SegmentationScoresEvaluator:
        return SegmentationScoresEvaluator(CLASSES, RULE, **settings)

    def process(self, evaluator: SegmentationScoresEvaluator, images: slice = ALL) -> None:
        outputs = [{"sem_seg": logits} for logits in self.logits[images]]
        evaluator.process(self.dicts[images], outputs)

    def expected(self, **settings) -> SegmentationScores:
        scores = SegmentationScores(5, 255, **settings)
        for logits, target in zip(self.logits, self.targets, strict=True):
            scores.update(logits.argmax(0), target)
        return scores


@pytest.fixture
def case(tmp_path) -> Case:
    return Case(tmp_path)


SETTINGS = [
    {"metrics": (*PAPER_METRICS, "Dice", "BoundaryIoU(radius=1)")},
    {"drop_background": True, "protocol": "paper", "tolerance": 2},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_scores_are_those_of_segmentation_scores_in_percent(case, settings):
    evaluator, expected = case.evaluator(**settings), case.expected(**settings)
    case.process(evaluator, images=slice(2))
    case.process(evaluator, images=slice(2, None))
    results = evaluator.evaluate()
    assert list(results) == ["sem_seg"]
    scores = results["sem_seg"]
    assert list(scores)[:6] == list(PAPER_METRICS)
    for name, value in expected.compute().items():
        assert scores[name] == 100 * value
    for column, values in expected.per_class().items():
        mine = [scores[f"{column}-{name}"] / 100 for name in CLASSES]
        np.testing.assert_allclose(mine, values, rtol=1e-12)


def test_further_protocols_are_scored_in_the_same_pass(case):
    evaluator = case.evaluator(protocol="strict", also=["paper"])
    case.process(evaluator)
    results = evaluator.evaluate()
    assert list(results) == ["sem_seg", "sem_seg_paper"]
    for entry, kind in zip(results.values(), ("strict", "paper"), strict=True):
        alone = case.evaluator(protocol=kind)
        case.process(alone)
        assert str(entry) == str(alone.evaluate()["sem_seg"])
    assert results["sem_seg"] != results["sem_seg_paper"]


@pytest.mark.parametrize("share", [1, 5])
def test_processes_give_the_result_of_one(case, monkeypatch, share):
    """Real ones: test_resume.py."""
    whole, *ranks = (case.evaluator(also=["paper"]) for _ in range(3))
    case.process(whole)
    expected = str(whole.evaluate())
    case.process(ranks[0], images=slice(share))
    case.process(ranks[1], images=slice(share, None))
    monkeypatch.setattr(comm, "gather", lambda own: deepcopy([rank._all for rank in ranks]))
    assert [str(ranks[0].evaluate()) for _ in range(2)] == [expected] * 2, "counted twice"
    monkeypatch.setattr(comm, "is_main_process", lambda: False)
    assert ranks[1].evaluate() is None
