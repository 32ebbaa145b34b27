"""SegmentationScores: void pixels, the two protocols by hand, and bad input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import samples

from autoseg_core import SegmentationScores

NAN = math.nan


def scores_of(
    prediction: Any, target: Any, num_classes: int = 2, **settings: Any
) -> dict[str, float]:
    scores = SegmentationScores(num_classes, **settings)
    scores.update(np.asarray(prediction), np.asarray(target))
    return scores.compute()


@pytest.mark.parametrize(
    ("prediction", "tolerance", "strict", "paper"),
    [
        # Target 0 0 void 1 1. Strict sees no boundary at all; for the released evaluator the rim of
        # the void is one (pixels 1 and 3), and so is a class border that is predicted inside it.
        ([0, 0, 1, 1, 1], 0, (NAN, NAN), (1, 0.5)),  # edges 1, 2: only class 0 meets its rim
        ([0, 0, 0, 1, 1], 0, (NAN, NAN), (1, 0.5)),  # edges 2, 3: only class 1
        ([0, 0, 1, 1, 1], 1, (NAN, NAN), (1, 1)),
        ([0, 0, 0, 0, 0], 1, (NAN, NAN), (0.25, 0)),  # class 0: 2 of 4; no predicted edge
    ],
)
def test_the_rim_of_void_by_hand(
    prediction: list[int], tolerance: int, strict: Any, paper: Any
) -> None:
    target = [[0, 0, 255, 1, 1]]
    for protocol, expected in (("strict", strict), ("paper", paper)):
        scores = scores_of([prediction], target, tolerance=tolerance, protocol=protocol)
        assert (scores["BIoU"], scores["BF1"]) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("drop_background", [False, True])
def test_strict_never_looks_inside_void(drop_background: bool) -> None:
    rng = np.random.default_rng(0)
    target = samples.with_void(rng, samples.label_maps(rng, 4))
    prediction = samples.label_maps(rng, 5)
    void = target == samples.VOID
    settings = {"drop_background": drop_background}
    expected = scores_of(prediction, target, 5, **settings)
    for filling in (0, 4, samples.label_maps(rng, 5), 255, -1, 10**6):
        other = np.where(void, filling, prediction)
        assert scores_of(other, target, 5, **settings) == expected


@pytest.mark.parametrize("metric", ["BF1", "wBF1(weights=[1,3,96])"])
def test_paper_leaves_a_class_without_a_true_edge_out_of_bf1(metric: str) -> None:
    target = np.zeros((1, 12, 12), dtype=np.int64)
    target[0, 3:9, 3:9] = 1
    prediction = target.copy()
    prediction[0, 5, 5] = 2
    scores = SegmentationScores(3, protocol="paper", metrics=[metric])
    scores.update(prediction, target)
    (values,) = scores.per_class().values()
    assert values == pytest.approx([1, 1, NAN], nan_ok=True)
    assert scores.compute()[metric] == 1
    scores.reset()
    scores.update(prediction, target * 0)
    assert math.isnan(scores.compute()[metric]), "no true edge at all"


@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_nothing_valid_gives_nan(protocol: Any) -> None:
    void = np.full((1, 4, 4), 255)
    assert all(math.isnan(v) for v in scores_of(void * 0, void, protocol=protocol).values())
    nothing = np.zeros((0, 4, 4), dtype=np.int64)
    assert all(math.isnan(v) for v in scores_of(nothing, nothing, protocol=protocol).values())
