"""soft_loss: the surrogate with identity curves, by the name of a metric or an objective."""

from __future__ import annotations

import pytest
import samples
import torch

from autoseg_core import LossSpec, Objective, SegmentationScores, soft_loss


@pytest.mark.parametrize(
    ("objective", "name", "metrics", "weights", "combine"),
    [
        ("mIoU", "soft-mIoU", ["mIoU"], [1], "sum"),
        ("Fbeta(beta=2)", "soft-Fbeta-beta-2", ["Fbeta(beta=2)"], [1], "sum"),
        ("mIoU+3*BF1", "soft-mIoU-BF1", ["mIoU", "BF1"], [0.25, 0.75], "sum"),
        ("mIoU*BF1", "soft-mIoU-BF1", ["mIoU", "BF1"], [1, 1], "product"),
        (Objective.parse("BIoU | mIoU>=0.6"), "soft-BIoU", ["BIoU"], [1], "sum"),
    ],
)
def test_the_spec_is_that_of_the_objective(
    objective: str, name: str, metrics: list[str], weights: list[float], combine: str
) -> None:
    spec = soft_loss(objective, tolerance=2).spec
    assert (spec.name, spec.combine) == (name, combine)
    assert [term.metric for term in spec.terms] == metrics
    assert [term.weight for term in spec.terms] == weights
    assert {term.tolerance for term in spec.terms} == {2}
    assert LossSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize("objective", ["mIoU", "0.7*mIoU+0.3*Dice", "mIoU*mAcc"])
def test_curves_are_the_identity(objective: str) -> None:
    """1 - the objective of scores whose counts are sums of probabilities."""
    logits, target = samples.batch(0, 4, 4)
    p = logits.softmax(1).movedim(1, -1)[target != samples.VOID]
    y = torch.nn.functional.one_hot(target[target != samples.VOID], 4)
    both, either, total = (p * y).sum(0), (p + y - p * y).sum(0), (p + y).sum(0)
    scores = {
        "mIoU": (both / either).mean(),
        "Dice": (2 * both / total).mean(),
        "mAcc": (both / y.sum(0)).mean(),
    }
    value = Objective.parse(objective).score({name: float(s) for name, s in scores.items()})
    assert float(soft_loss(objective)(logits, target)) == pytest.approx(1 - value, rel=1e-12)


def test_options_are_those_of_the_loss() -> None:
    logits, target = samples.batch(0, 4, 4)
    moved = target.masked_fill(target == samples.VOID, 9)
    assert soft_loss("BF1", ignore_index=9, backend="reference")(logits, moved) == soft_loss(
        "BF1", backend="reference"
    )(logits, target)


def test_at_sure_predictions_it_is_one_minus_the_score() -> None:
    _, target = samples.batch(3)
    guess = target.roll(1, -1).clamp(max=3)
    scores = SegmentationScores(4, metrics=["BF1"], tolerance=1)
    scores.update(guess, target)
    value = soft_loss("BF1", tolerance=1)(samples.sure_logits(guess.numpy(), 4), target)
    assert 1 - float(value) == pytest.approx(scores.compute()["BF1"], rel=1e-6)


def test_an_unknown_metric_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"Unknown metric 'IoU'; known metrics: mIoU"):
        soft_loss("IoU")
