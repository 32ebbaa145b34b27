"""The paper protocol's mIoU is that of cityscapesscripts and of Detectron2's SemSegEvaluator.

All of them look at the same label files and the same predictions, in Cityscapes' layout: the
official script at label ids, the others at training ids.

H, W: pixels; C: classes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets.builtin_meta import CITYSCAPES_CATEGORIES
from detectron2.evaluation import SemSegEvaluator
from trees import CITYSCAPES, label_of, make_cityscapes, write_label

from auto_seg_loss.evaluation import SegmentationScoresEvaluator

NAME = "cityscapes_fine_sem_seg_train"
SIZE = (24, 48)
CLASSES = MetadataCatalog.get(NAME).stuff_classes
C, VOID = 19, 255
TRAIN = 16
TOLERANCE = 1e-9

# Which training ids the truth and the prediction hold, and which only void pixels are predicted as.
CASES: dict[str, tuple[Iterable[int], Iterable[int], int | None]] = {
    "absent everywhere": (range(16), range(16), None),
    "predicted, not in the truth": (range(16), range(C), None),
    "predicted in void only": (range(16), range(16), TRAIN),
}


@dataclass
class Case:
    """Predictions of three images, (H, W) training ids; and files of label ids."""

    guesses: list[np.ndarray]
    guess_files: list[str]
    truth_files: list[str]

    def scores(self, evaluator: Any) -> dict[str, float]:
        """An evaluator's results for the predictions, in percent."""
        evaluator.reset()
        for item, guess in zip(DatasetCatalog.get(NAME), self.guesses, strict=True):
            logits = torch.nn.functional.one_hot(torch.from_numpy(guess).long(), C).permute(2, 0, 1)
            evaluator.process([item], [{"sem_seg": logits}])
        return evaluator.evaluate()["sem_seg"]


def predicted(image: str, truth: np.ndarray, ids: Iterable[int], in_void: int | None) -> np.ndarray:
    """Right for two thirds of the pixels, as far as the prediction may be."""
    noise = label_of(f"guess {image}", SIZE, ids)
    mostly = label_of(f"right {image}", SIZE, [0, 1, 1]) == 1
    guess = np.where(mostly & np.isin(truth, list(ids)), truth, noise)
    return guess if in_void is None else np.where(truth == VOID, in_void, guess)


@pytest.fixture(params=CASES)
def case(request, tmp_path, monkeypatch) -> Case:
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    truth_ids, guess_ids, in_void = CASES[request.param]
    folder, made = make_cityscapes(tmp_path, SIZE, ids=False), Case([], [], [])
    to_id = np.zeros(256, np.uint8)  # void: "unlabeled"
    for category in CITYSCAPES_CATEGORIES:
        to_id[category["trainId"]] = category["id"]
    for image in CITYSCAPES["train"]:
        truth = label_of(f"truth {image}", SIZE, [*truth_ids, VOID])
        guess = predicted(image, truth, guess_ids, in_void)
        path = folder / "gtFine" / "train" / image.split("_")[0] / f"{image}_gtFine_labelIds.png"
        write_label(path, to_id[truth])
        write_label(path.with_name(f"{image}_gtFine_labelTrainIds.png"), truth)
        write_label(folder / "results" / f"{image}.png", to_id[guess])
        made.guesses.append(guess)
        made.truth_files.append(str(path))
        made.guess_files.append(str(folder / "results" / f"{image}.png"))
    return made


@pytest.fixture
def ours(case) -> dict[str, float]:
    """What our evaluator says of the registered data set."""
    rule = {"num_classes": C, "ignore_label": VOID}
    return case.scores(SegmentationScoresEvaluator(CLASSES, rule, protocol="paper"))


def test_miou_is_that_of_cityscapesscripts(case, ours):
    official = pytest.importorskip(
        "cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling",
        reason="needs the extra [datasets]",
    )
    arguments = copy.copy(official.args)
    arguments.evalInstLevelScore = arguments.JSONOutput = False
    arguments.quiet = True
    result = official.evaluateImgLists(case.guess_files, case.truth_files, arguments)
    assert ours["mIoU"] / 100 == pytest.approx(result["averageScoreClasses"], abs=TOLERANCE)
    expected = [result["classScores"][name] for name in CLASSES]  # NaN where it is left out
    found = [ours[f"IoU-{name}"] / 100 for name in CLASSES]
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


# Detectron2 copies a tensor in a way that NumPy 2 warns of.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_miou_is_that_of_detectron2(case, ours):
    theirs = case.scores(SemSegEvaluator(NAME, distributed=False))
    for name, theirs_name in {
        "mIoU": "mIoU",
        "FWIoU": "fwIoU",
        "mAcc": "mACC",
        "gAcc": "pACC",
    }.items():
        assert ours[name] / 100 == pytest.approx(theirs[theirs_name] / 100, abs=TOLERANCE)
