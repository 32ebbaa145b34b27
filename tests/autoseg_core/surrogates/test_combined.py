"""Losses of several terms: at one-hot predictions 1 - the objective, between them its terms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import samples
import torch

from autoseg_core import AutoSegLoss, LossSpec, Objective, SegmentationScores, search_space

OBJECTIVES = [
    "mIoU", "mIoU+BIoU", "0.7*mIoU+0.3*BF1", "mIoU*BF1", "Dice*BoundaryIoU(radius=2)*mSpecificity",
]  # fmt: skip
EVERY = pytest.mark.parametrize("objective", OBJECTIVES)


def loss_of(objective: str, seed: int = 0) -> AutoSegLoss:
    space = search_space(objective)
    theta = np.random.default_rng(seed).uniform(0.02, 0.98, space.dim)
    return AutoSegLoss(LossSpec.from_theta("sample", space, theta))


@EVERY
@pytest.mark.parametrize("seed", range(3))
def test_at_one_hot_predictions_the_loss_is_one_minus_the_objective(
    objective: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    target = samples.with_void(rng, samples.label_maps(rng, 4))
    guess = np.where(rng.random(target.shape) < 0.6, target, samples.label_maps(rng, 5))
    guess = np.where(guess == samples.VOID, 4, guess)
    parsed = Objective.parse(objective)
    scores = SegmentationScores(5, metrics=parsed.metrics)
    scores.update(guess, target)
    value = loss_of(objective, seed)(samples.sure_logits(guess, 5), torch.from_numpy(target))
    assert 1 - float(value) == pytest.approx(parsed.score(scores.compute()), rel=1e-6)


def test_a_product_in_value_and_gradient() -> None:
    first, second = samples.term("mIoU"), samples.term("BF1")
    spec = LossSpec.of_terms("both", first, second, combine="product")
    logits, target = samples.batch(9)
    value, gradient = samples.value_and_gradient(AutoSegLoss(spec), logits, target)
    (a, da), (b, db) = (
        samples.value_and_gradient(samples.loss_of(term), logits, target)
        for term in (first, second)
    )
    torch.testing.assert_close(1 - value, (1 - a) * (1 - b))
    torch.testing.assert_close(gradient, (1 - b) * da + (1 - a) * db)


@EVERY
@pytest.mark.parametrize("options", [{}, {"per_image": True}, {"backend": "reference"}], ids=str)
def test_the_scale_multiplies_value_and_gradient_and_no_score(objective: str, options: Any) -> None:
    loss = AutoSegLoss(loss_of(objective).spec, **options)
    scaled = AutoSegLoss(loss.spec.scaled(32.0), **options)  # a power of two: nothing is rounded
    logits, target = samples.batch(3)
    value, gradient = samples.value_and_gradient(loss, logits, target)
    found, slope = samples.value_and_gradient(scaled, logits, target)
    assert torch.equal(found, 32 * value)
    assert torch.equal(slope, 32 * gradient)
    scores = [one.scores(one.counts(one.batch(logits, target))) for one in (loss, scaled)]
    assert scores[0] == scores[1]


def test_a_factor_without_a_class_to_look_at_rests() -> None:
    """An image of one class has no boundary."""
    region, edge = samples.term("mIoU"), samples.term("BF1")
    product = AutoSegLoss(LossSpec.of_terms("both", region, edge, combine="product"))
    logits, target = samples.batch(10)
    flat = torch.zeros_like(target)
    value, gradient = samples.value_and_gradient(product, logits, flat)
    expected, slope = samples.value_and_gradient(samples.loss_of(region), logits, flat)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, slope)


@EVERY
@pytest.mark.parametrize("label", [samples.VOID, 2])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_gradients_are_finite(objective: str, label: int, scale: float) -> None:
    logits, target = samples.batch(2)
    value, gradient = samples.value_and_gradient(
        loss_of(objective), (scale * logits).float(), torch.full_like(target, label)
    )
    assert 0 <= value <= 1 and gradient.isfinite().all()


@EVERY
def test_nothing_is_read_on_the_way_there_and_back(objective: str) -> None:
    """On the meta device there is no data to look at."""
    loss = loss_of(objective).to("meta")
    logits = torch.empty(2, 5, 14, 18, device="meta", requires_grad=True)
    target = torch.empty(2, 14, 18, device="meta", dtype=torch.int64)
    (gradient,) = torch.autograd.grad(loss(logits, target), logits)
    assert gradient.device.type == "meta"


def test_print_tells_a_product_from_a_sum() -> None:
    assert "1 mIoU * 1 BF1" in repr(loss_of("mIoU*BF1"))
    assert "0.25 mIoU + 0.75 BF1" in repr(loss_of("mIoU+3*BF1"))


def test_print_tells_a_scale() -> None:
    scaled = AutoSegLoss(loss_of("mIoU+3*BF1").spec.scaled(30.0))
    assert "30 * (0.25 mIoU + 0.75 BF1)" in repr(scaled)
