"""Objectives: text and back, scores by hand, and the order that constraints make."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autoseg_core import Objective
from autoseg_core.objective import Constraint

SCORES = {"mIoU": 0.6, "BIoU": 0.4, "BF1": 0.5, "mAcc": 0.9, "Fbeta(beta=2)": 0.7}


@pytest.mark.parametrize(
    ("text", "canonical", "score"),
    [
        ("mIoU", "mIoU", 0.6),
        (" miou + BIOU ", "mIoU+BIoU", 0.5),
        ("0.70*mIoU + .3*BF1", "0.7*mIoU+0.3*BF1", 0.57),
        ("2*mIoU+BIoU", "2*mIoU+BIoU", 1.6 / 3),
        ("1.0*mIoU", "mIoU", 0.6),
        ("1e-3*mIoU+BIoU", "0.001*mIoU+BIoU", 0.4006 / 1.001),
        ("mIoU * BF1", "mIoU*BF1", 0.3),
        ("mIoU*BIoU*mAcc", "mIoU*BIoU*mAcc", 0.6 * 0.4 * 0.9),
        ("Fbeta(beta=2.0)+mIoU", "Fbeta(beta=2)+mIoU", 0.65),
        ("BIoU|mIoU>=0.6", "BIoU | mIoU>=0.6", (1 + 0.4) / 2),
        ("BIoU | mIoU >= 0.8", "BIoU | mIoU>=0.8", 0.75 / 2),
        ("BIoU | mIoU>=0.8,mAcc>=.5", "BIoU | mAcc>=0.5, mIoU>=0.8", (0.75 + 1) / 2 / 2),
        ("bf1_difference+mIoU", "BF1_difference+mIoU", 0.55),
        ("mIoU+BIoU | Fbeta( beta=2 )>=1", "mIoU+BIoU | Fbeta(beta=2)>=1", 0.7 / 2),
    ],
)
def test_text_and_score(text: str, canonical: str, score: float) -> None:
    objective = Objective.parse(text)
    assert str(objective) == canonical
    assert Objective.parse(canonical) == objective
    assert objective.score(SCORES) == pytest.approx(score, rel=1e-14)


def test_every_digit_of_a_weight_is_kept() -> None:
    objective = Objective(("mIoU", "BF1"), (1 / 3, 0.1 + 0.2), "sum", (Constraint("mAcc", 2 / 3),))
    assert Objective.parse(str(objective)) == objective


def test_metrics_are_the_targets_and_then_those_of_the_constraints() -> None:
    objective = Objective.parse("BIoU+mIoU | mIoU>=0.6, mAcc>=0.5")
    assert objective.targets == ("BIoU", "mIoU")
    assert objective.metrics == ("BIoU", "mIoU", "mAcc")
    assert objective.shares == (0.5, 0.5)


@pytest.mark.parametrize("text", ["mIoU+BIoU", "mIoU*BIoU", "mIoU | BIoU>=0.5", "BIoU | mIoU>=0.5"])
def test_what_could_not_be_measured_is_not_hidden(text: str) -> None:
    assert math.isnan(Objective.parse(text).score({"mIoU": math.nan, "BIoU": 0.1}))


def test_meeting_the_constraints_beats_everything_else() -> None:
    objective = Objective.parse("BIoU | mIoU>=0.6, mAcc>=0.3")
    rng = np.random.default_rng(0)
    points = [dict(zip(("BIoU", "mIoU", "mAcc"), rng.random(3), strict=True)) for _ in range(500)]
    met = [p["mIoU"] >= 0.6 and p["mAcc"] >= 0.3 for p in points]
    scores = np.array([objective.score(p) for p in points])
    assert ((scores >= 0) & (scores <= 1)).all()
    assert scores[np.array(met)].min() >= 0.5 > scores[~np.array(met)].max()
    nearly = objective.score({"BIoU": 1.0, "mIoU": 0.59, "mAcc": 0.3})
    assert objective.score({"BIoU": 1.0, "mIoU": 0.3, "mAcc": 0.3}) < nearly < 0.5
