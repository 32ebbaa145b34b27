"""The paper protocol's mIoU is that of cityscapesscripts and of Detectron2's SemSegEvaluator.

All of them look at the same label files and the same predictions, in Cityscapes' layout: the
official script at label ids, the others at training ids.

H, W: pixels; C: classes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path
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


class Case:
    """Labels and predictions of three images: in files, and as training ids (H, W)."""

    def __init__(self, root: Path, name: str) -> None:
        truth_ids, guess_ids, in_void = CASES[name]
        self.folder = make_cityscapes(root, SIZE, ids=False)
        self.guess, self.truth_files, self.guess_files = [], [], []
        for image in CITYSCAPES["train"]:
            truth = label_of(f"truth {image}", SIZE, [*truth_ids, VOID])
            noise = label_of(f"guess {image}", SIZE, guess_ids)
            mostly = label_of(f"right {image}", SIZE, [0, 1, 1]) == 1
            guess = np.where(mostly & np.isin(truth, list(guess_ids)), truth, noise)
            if in_void is not None:
                guess[truth == VOID] = in_void
            self._write(image, truth, guess.astype(np.uint8))

    def _write(self, image: str, truth: np.ndarray, guess: np.ndarray) -> None:
        path = (
            self.folder / "gtFine" / "train" / image.split("_")[0] / f"{image}_gtFine_labelIds.png"
        )
        to_id = np.zeros(256, np.uint8)  # void: "unlabeled"
        for category in CITYSCAPES_CATEGORIES:
            to_id[category["trainId"]] = category["id"]
        write_label(path, to_id[truth])
        write_label(path.with_name(f"{image}_gtFine_labelTrainIds.png"), truth)
        guess_path = self.folder / "results" / f"{image}.png"
        write_label(guess_path, to_id[guess])
        self.guess.append(guess)
        self.truth_files.append(str(path))
        self.guess_files.append(str(guess_path))

    def cityscapes(self) -> dict[str, float]:
        """What the official script says: IoU by class name, NaN where it is left out, and mIoU."""
        official = pytest.importorskip(
            "cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling",
            reason="needs the extra [datasets]",
        )
        arguments = copy.copy(official.args)
        arguments.evalInstLevelScore = arguments.JSONOutput = False
        arguments.quiet = True
        result = official.evaluateImgLists(self.guess_files, self.truth_files, arguments)
        return {**result["classScores"], "mIoU": result["averageScoreClasses"]}

    def process(self, evaluator: Any) -> dict[str, float]:
        """An evaluator's results for the predictions, in percent."""
        evaluator.reset()
        for item, guess in zip(DatasetCatalog.get(NAME), self.guess, strict=True):
            logits = torch.nn.functional.one_hot(torch.from_numpy(guess).long(), C).permute(2, 0, 1)
            evaluator.process([item], [{"sem_seg": logits}])
        return evaluator.evaluate()["sem_seg"]

    def ours(self) -> dict[str, float]:
        """What our evaluator says of the registered data set."""
        rule = {"num_classes": C, "ignore_label": VOID}
        evaluator = SegmentationScoresEvaluator(CLASSES, rule, protocol="paper")
        return self.process(evaluator)

    def detectron2(self) -> dict[str, float]:
        """What Detectron2's evaluator says of it."""
        return self.process(SemSegEvaluator(NAME, distributed=False))


@pytest.fixture(params=CASES)
def case(request, tmp_path, monkeypatch) -> Case:
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    return Case(tmp_path, request.param)


def iou(results: dict[str, float]) -> list[float]:
    """IoU of the classes in [0, 1], from results in percent."""
    return [results[f"IoU-{name}"] / 100 for name in CLASSES]


def test_miou_is_that_of_cityscapesscripts(case):
    ours, official = case.ours(), case.cityscapes()
    assert ours["mIoU"] / 100 == pytest.approx(official["mIoU"], abs=TOLERANCE)
    expected = [official[name] for name in CLASSES]
    np.testing.assert_allclose(iou(ours), expected, rtol=0, atol=TOLERANCE)  # NaN equals NaN


# Detectron2 copies a tensor in a way that NumPy 2 warns of.
copies = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@copies
def test_miou_is_that_of_detectron2(case):
    ours, theirs = case.ours(), case.detectron2()
    assert ours["mIoU"] / 100 == pytest.approx(theirs["mIoU"] / 100, abs=TOLERANCE)
    assert ours["FWIoU"] / 100 == pytest.approx(theirs["fwIoU"] / 100, abs=TOLERANCE)
    assert ours["mAcc"] / 100 == pytest.approx(theirs["mACC"] / 100, abs=TOLERANCE)
    assert ours["gAcc"] / 100 == pytest.approx(theirs["pACC"] / 100, abs=TOLERANCE)
