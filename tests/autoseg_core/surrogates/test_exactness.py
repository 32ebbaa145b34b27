"""Surrogates are their metric: at one-hot predictions the exact one, between them the slow twin."""

from __future__ import annotations

from typing import Any

import closed_forms
import numpy as np
import pytest
import references
import samples
import torch

from autoseg_core import (
    AutoSegLoss,
    Constraints,
    LossSpec,
    LossTerm,
    Objective,
    SearchSpace,
    SegmentationScores,
    search_space,
    soft_loss,
)
from autoseg_core.scores import get_metric

CLASSES = 5
EACH = pytest.mark.parametrize(("metric", "surface"), samples.EACH)
EVERY = pytest.mark.parametrize(("metric", "surface"), samples.TERMS)


def exact(
    surrogate: str, guess: Any, target: Any, classes: int = CLASSES, **settings: Any
) -> float:
    metrics = [samples.scored(surrogate)]
    scores = SegmentationScores(classes, metrics=metrics, **settings)
    scores.update(guess, target)
    (value,) = scores.compute().values()
    return value


@pytest.mark.parametrize("metric", samples.SHIPPED)
@pytest.mark.parametrize("present", [4, 5])
def test_the_exact_score_is_the_textbook_form(metric: str, present: int) -> None:
    guess, target = samples.images(0, present=present)
    maps = closed_forms.one_hot(torch.from_numpy(guess), CLASSES)
    expected = closed_forms.score(metric, maps, torch.from_numpy(target), samples.VOID, 2)
    assert exact(metric, guess, target, tolerance=2) == pytest.approx(float(expected), rel=1e-12)


@EACH
@pytest.mark.parametrize(("drop_background", "tolerance"), [(False, 0), (True, 5)])
def test_at_one_hot_predictions_the_loss_is_one_minus_the_metric(
    metric: str, surface: str, drop_background: bool, tolerance: int
) -> None:
    """With void, an absent class that is predicted, and random control points."""
    guess, target = samples.images(tolerance)
    settings: dict[str, Any] = {"drop_background": drop_background, "tolerance": tolerance}
    loss = samples.loss_of(samples.term(metric, surface, **settings))
    value = loss(samples.sure_logits(guess, CLASSES), torch.from_numpy(target))
    assert 1 - float(value) == pytest.approx(exact(metric, guess, target, **settings), rel=1e-6)


@pytest.mark.parametrize("metric", ["mIoU", "BIoU", "BF1"])
@pytest.mark.parametrize(("classes", "ignore_index"), [(2, -100), (4, 0), (4, 4), (70, 255)])
def test_any_number_of_classes_and_void_label(metric: str, classes: int, ignore_index: int) -> None:
    rng = np.random.default_rng(1)
    labels, guess = samples.label_maps(rng, classes), samples.label_maps(rng, classes)
    target = samples.with_void(rng, labels, ignore_index)
    loss = samples.loss_of(samples.term(metric), ignore_index=ignore_index)
    value = loss(samples.sure_logits(guess, classes), torch.from_numpy(target))
    expected = exact(metric, guess, target, classes, ignore_index=ignore_index)
    assert 1 - float(value) == pytest.approx(expected, rel=1e-6, abs=1e-6)


OBJECTIVES = ["0.7*mIoU+0.3*BF1_difference", "mIoU*BF1", "Dice*BoundaryIoU(radius=2)*mSpecificity"]


@pytest.mark.parametrize("text", OBJECTIVES)
def test_of_several_terms_the_loss_is_one_minus_the_objective(text: str) -> None:
    guess, target = samples.images(1)
    objective, space = Objective.parse(text), search_space(text)
    theta = np.random.default_rng(0).uniform(0.02, 0.98, space.dim)
    loss = AutoSegLoss(LossSpec.from_theta("sample", space, theta))
    scores = SegmentationScores(CLASSES, metrics=objective.metrics)
    scores.update(guess, target)
    value = loss(samples.sure_logits(guess, CLASSES), torch.from_numpy(target))
    assert 1 - float(value) == pytest.approx(objective.score(scores.compute()), rel=1e-6)


@EVERY
@pytest.mark.parametrize(
    ("absent", "tolerance", "drop_background"), [("ignore", 0, False), ("zero", 2, True)]
)
def test_soft_predictions_equal_the_slow_twin(
    metric: str, surface: str, absent: Any, tolerance: int, drop_background: bool
) -> None:
    settings = {"absent": absent, "tolerance": tolerance, "drop_background": drop_background}
    term = samples.term(metric, surface, **settings)
    logits, target = samples.batch(0)
    expected = references.surrogate_loss(term.model_dump(), logits, target)
    assert float(samples.loss_of(term)(logits, target)) == pytest.approx(expected, rel=1e-9)
    single = float(samples.loss_of(term)(logits.float(), target))
    assert single == pytest.approx(expected, rel=1e-5)


@EVERY
def test_curves_free_of_both_constraints_equal_the_slow_twin(metric: str, surface: str) -> None:
    space = SearchSpace(metric, surface, 3, Constraints(truth_table=False, monotone=False))
    term = samples.term_at(space, np.random.default_rng(0).random(space.dim))
    logits, target = samples.batch(0)
    expected = references.surrogate_loss(term.model_dump(), logits, target)
    assert float(samples.loss_of(term)(logits, target)) == pytest.approx(expected, rel=1e-9)


@EACH
def test_identity_curves_give_the_textbook_form_in_value_and_gradient(
    metric: str, surface: str
) -> None:
    """mIoU: the soft Jaccard loss; Dice: 1 - 2 |py| / (|p| + |y|); mAcc: 1 - mean probability."""
    space = SearchSpace(metric, surface)
    loss = samples.loss_of(samples.term_at(space, space.identity(), tolerance=2))
    logits, target = samples.batch(1, CLASSES, CLASSES)
    value, gradient = samples.value_and_gradient(loss, logits, target)
    twin = logits.clone().requires_grad_()
    expected = 1 - closed_forms.score(metric, twin.softmax(1), target, samples.VOID, 2)
    (slope,) = torch.autograd.grad(expected, twin)
    torch.testing.assert_close(value, expected.detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, slope, rtol=1e-8, atol=1e-15)


@pytest.mark.parametrize(
    "metric", [name for name in samples.SHIPPED if get_metric(name).region == "image"]
)
def test_classes_that_do_not_exclude_each_other(metric: str) -> None:
    """Multi-label: each class has its own pixels that count, and its own true negatives."""
    rng = np.random.default_rng(4)
    target = torch.from_numpy(rng.integers(2, size=(2, CLASSES, 7, 9)))
    target[torch.from_numpy(rng.random(target.shape) < 0.2)] = samples.VOID
    logits = torch.from_numpy(rng.normal(size=target.shape))
    value = soft_loss(metric, activation="sigmoid")(logits, target)
    where = (target != samples.VOID).double()
    cells = closed_forms.cells(logits.sigmoid(), (target == 1).double(), where)
    torch.testing.assert_close(1 - value, closed_forms.of_cells(metric, cells), rtol=1e-12, atol=0)


def test_a_term_takes_any_spelling_and_keeps_the_canonical_one() -> None:
    term = samples.term("Fbeta( beta = 2.0 )")
    assert term.metric == "Fbeta(beta=2)"
    assert LossTerm(**(term.model_dump() | {"metric": "Fbeta(beta=2.0)"})) == term
    difference = samples.term("BF1_difference")
    assert (difference.metric, difference.surrogate) == ("BF1", "difference")
    old = difference.model_dump(exclude={"surrogate"}) | {"metric": "BF1_difference"}
    assert LossTerm(**old) == difference


def test_losses_stay_in_the_unit_interval_where_soft_edges_are_negative() -> None:
    """XOR of unsure pixels is negative here: their edges make the sum of all edges smaller."""
    theta = [0.05, 0.9, 0.05, 0.9, 0.9, 0.05, 0.9, 0.05]
    loss = AutoSegLoss(LossSpec.from_theta("x", search_space("BF1"), theta, tolerance=1))
    target = torch.zeros(1, 32, 32, dtype=torch.int64)
    target[:, 8:16, 8:16] = 1
    logits = 40.0 * torch.stack([target == 0, target == 1], dim=1)
    logits[..., -4:] = torch.tensor([1.56, 0.0]).view(1, 2, 1, 1)
    assert 0 <= loss(logits, target) <= 1
    for seed in range(20):  # unsure everywhere but in a few pixels
        noise = torch.randn(1, 2, 32, 32, generator=torch.Generator().manual_seed(seed))
        assert 0 <= loss(0.1 * noise + logits * (noise.abs() > 2), target) <= 1
