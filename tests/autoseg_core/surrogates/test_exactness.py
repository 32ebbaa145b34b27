"""Surrogates are their metric: at one-hot predictions the exact one, between them the slow twin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import references
import samples
import torch

from autoseg_core import Constraints, LossTerm, SearchSpace, SegmentationScores
from autoseg_core.scores import PAPER_METRICS

EVERY = pytest.mark.parametrize(("metric", "surface"), samples.TERMS)


def exact_score(prediction: Any, target: Any, metric: str, classes: int, **settings: Any) -> float:
    scores = SegmentationScores(classes, **settings)
    scores.update(prediction, target)
    return scores.compute()[metric]


@EVERY
@pytest.mark.parametrize("drop_background", [False, True])
@pytest.mark.parametrize("tolerance", [0, 2, 5])
@pytest.mark.parametrize("seed", range(3))
def test_at_one_hot_predictions_the_loss_is_one_minus_the_metric(
    metric: str, surface: str, drop_background: bool, tolerance: int, seed: int
) -> None:
    """With void, absent classes, classes that are only predicted, and random control points."""
    rng = np.random.default_rng(seed)
    target = samples.with_void(rng, samples.label_maps(rng, 4))
    guess = np.where(rng.random(target.shape) < 0.6, target, samples.label_maps(rng, 6))
    guess = np.where(guess == samples.VOID, 5, guess)
    settings: dict[str, Any] = {"drop_background": drop_background, "tolerance": tolerance}
    loss = samples.loss_of(samples.term(metric, surface, seed, **settings))
    value = loss(samples.sure_logits(guess, 6), torch.from_numpy(target))
    assert 1 - float(value) == pytest.approx(
        exact_score(guess, target, metric, 6, **settings), rel=1e-6
    )


@EVERY
def test_void_labels_other_than_255(metric: str, surface: str) -> None:
    rng = np.random.default_rng(1)
    labels, guess = samples.label_maps(rng, 4), samples.label_maps(rng, 4)
    for ignore_index in (-100, 0, 4):
        target = samples.with_void(rng, labels, ignore_index)
        loss = samples.loss_of(samples.term(metric, surface), ignore_index=ignore_index)
        value = loss(samples.sure_logits(guess, 4), torch.from_numpy(target))
        expected = exact_score(guess, target, metric, 4, ignore_index=ignore_index)
        assert 1 - float(value) == pytest.approx(expected, rel=1e-6)


@EVERY
@pytest.mark.parametrize("classes", [2, 70])
def test_any_number_of_classes(metric: str, surface: str, classes: int) -> None:
    rng = np.random.default_rng(2)
    target, guess = (samples.label_maps(rng, classes) for _ in range(2))
    loss = samples.loss_of(samples.term(metric, surface))
    value = 1 - float(loss(samples.sure_logits(guess, classes), torch.from_numpy(target)))
    assert value == pytest.approx(exact_score(guess, target, metric, classes), rel=1e-6)


@EVERY
@pytest.mark.parametrize("absent", ["ignore", "zero"])
@pytest.mark.parametrize(("tolerance", "drop_background"), [(0, False), (2, True), (5, False)])
@pytest.mark.parametrize("seed", range(3))
def test_soft_predictions_equal_the_slow_twin(
    metric: str, surface: str, absent: Any, tolerance: int, drop_background: bool, seed: int
) -> None:
    settings = {"absent": absent, "tolerance": tolerance, "drop_background": drop_background}
    term = samples.term(metric, surface, seed, **settings)
    logits, target = samples.batch(seed)
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


@pytest.mark.parametrize("metric", PAPER_METRICS)
@pytest.mark.parametrize("drop_background", [False, True])
def test_a_perfect_prediction_of_3_of_21_classes(metric: str, drop_background: bool) -> None:
    rng = np.random.default_rng(3)
    target = samples.label_maps(rng, 3)
    logits, truth = samples.sure_logits(target, 21), torch.from_numpy(target)
    ignoring, as_released = (
        samples.loss_of(samples.term(metric, absent=absent, drop_background=drop_background))
        for absent in ("ignore", "zero")
    )
    assert float(ignoring(logits, truth)) == pytest.approx(0, abs=1e-6)
    # Absent classes score 0 in the released mean; boundary metrics may run over 1..20 only.
    found, classes = (2, 20) if metric.startswith("BF1") and drop_background else (3, 21)
    expected = 0.0 if metric in ("FWIoU", "gAcc") else 1 - found / classes
    assert float(as_released(logits, truth)) == pytest.approx(expected, abs=1e-6)
    if metric == "mIoU":
        assert expected == pytest.approx(0.857, abs=5e-4)


def identity_term(metric: str, surface: str) -> LossTerm:
    space = SearchSpace(metric, surface)
    return samples.term_at(space, space.identity())


@pytest.mark.parametrize("surface", ["bezier", "linear"])
def test_identity_curves_give_known_losses(surface: str) -> None:
    """mAcc: 1 - mean probability of the true class; mIoU: the soft Jaccard loss."""
    logits, target = samples.batch(4, classes=4)
    p = logits.softmax(1).movedim(1, -1)[target != samples.VOID]
    truth = torch.nn.functional.one_hot(target[target != samples.VOID], 4).double()
    found = (p * truth).sum(0)
    accuracy = samples.loss_of(identity_term("mAcc", surface))(logits, target)
    assert float(accuracy) == pytest.approx(1 - float((found / truth.sum(0)).mean()), rel=1e-12)
    union = (p + truth - p * truth).sum(0)
    jaccard = samples.loss_of(identity_term("mIoU", surface))(logits, target)
    assert float(jaccard) == pytest.approx(1 - float((found / union).mean()), rel=1e-12)
