"""AutoSegLoss as a module: terms, options, state, copies; ``soft_loss``."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import samples
import torch
from torch import Tensor

from autoseg_core import (
    AutoSegLoss,
    LossSpec,
    Metric,
    Objective,
    SearchSpace,
    SegmentationScores,
    load_loss,
    register_metric,
    soft_loss,
)
from autoseg_core.scores import METRICS
from autoseg_core.scores.ratios import iou
from autoseg_core.surfaces import SURFACES

REGIONS = pytest.mark.parametrize("metric", ["mIoU", "BIoU", "BF1", "BoundaryIoU(radius=2)"])
LOSS = samples.loss_of(samples.term("mIoU"), samples.term("BF1", weight=0.5))


def assert_same(found: AutoSegLoss, expected: AutoSegLoss, logits: Tensor, target: Tensor) -> None:
    """Value and gradient."""
    pairs = (samples.value_and_gradient(loss, logits, target) for loss in (found, expected))
    for a, b in zip(*pairs, strict=True):
        torch.testing.assert_close(a, b)


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


@pytest.mark.parametrize("combine", ["sum", "product"])
def test_a_term_without_a_class_to_look_at_rests(combine: Any) -> None:
    """An image of one class has no boundary: the other term still teaches."""
    region, edge = samples.term("mIoU"), samples.term("BF1")
    both = AutoSegLoss(LossSpec.of_terms("both", region, edge, combine=combine))
    logits, target = samples.batch(10)
    assert_same(both, samples.loss_of(region), logits, torch.zeros_like(target))


@pytest.mark.parametrize("options", [{}, {"per_image": True}, {"backend": "reference"}], ids=str)
def test_the_scale_multiplies_value_and_gradient_and_no_score(options: Any) -> None:
    loss = AutoSegLoss(LOSS.spec, **options)
    scaled = AutoSegLoss(LOSS.spec.scaled(32.0), **options)  # a power of two: nothing is rounded
    logits, target = samples.batch(3)
    value, gradient = samples.value_and_gradient(loss, logits, target)
    found, slope = samples.value_and_gradient(scaled, logits, target)
    assert torch.equal(found, 32 * value) and torch.equal(slope, 32 * gradient)
    scores = [one.scores(one.counts(one.batch(logits, target))) for one in (loss, scaled)]
    assert scores[0] == scores[1]


@REGIONS
def test_per_image_an_image_without_a_class_to_see_has_no_say(metric: str) -> None:
    loss = samples.loss_of(samples.term(metric), per_image=True)
    logits, target = samples.batch(0)
    both = (loss(logits[:1], target[:1]) + loss(logits[1:], target[1:])) / 2
    torch.testing.assert_close(loss(logits, target), both)
    target[1] = samples.VOID
    torch.testing.assert_close(loss(logits, target), loss(logits[:1], target[:1]))
    assert loss(logits[1:], target[1:]) == 0


@REGIONS
def test_several_void_labels(metric: str) -> None:
    logits, target = samples.batch(0)
    mixed = target.masked_fill((target == 255) & (torch.arange(18) % 2 == 0), -1)
    found, expected = (
        samples.value_and_gradient(
            samples.loss_of(samples.term(metric), ignore_index=void), logits, labels
        )
        for void, labels in (([255, 7, -1], mixed), (255, target))
    )
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("prefix", ["", "0."], ids=["alone", "within a network"])
def test_control_points_of_older_checkpoints_are_passed_over(prefix: str) -> None:
    """They may be of another loss, with more terms."""
    loss = samples.loss_of(samples.term("mIoU", seed=5))
    before, points = loss(*samples.batch(2)), loss.get_buffer("points_0").clone()
    state = {prefix + name: b.float() for name, b in LOSS.named_buffers()}
    keys = list(state)
    for assign in (False, True):
        module = torch.nn.Sequential(loss) if prefix else loss
        module.load_state_dict(state, strict=True, assign=assign)
        assert loss(*samples.batch(2)) == before
        assert torch.equal(loss.get_buffer("points_0"), points)
    assert list(state) == keys  # the caller's is left alone


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, copy.copy, lambda loss: pickle.loads(pickle.dumps(loss))]
)
def test_copies_are_equal(copied: Any) -> None:
    options: dict[str, Any] = {"per_image": True, "backend": "reference", "ignore_index": 3}
    loss = AutoSegLoss(LOSS.spec, **options)
    twin = copied(loss)
    assert {name: getattr(twin, name) for name in options} == options
    assert twin.spec == loss.spec and twin(*samples.batch(3, 300)) == loss(*samples.batch(3, 300))


def test_retired_backends_are_auto_for_one_more_version() -> None:
    name: Any = "fused"
    with pytest.warns(FutureWarning, match=name) as caught:
        assert AutoSegLoss(LOSS.spec, backend=name).backend == "auto"
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("objective", "name", "weights", "combine"),
    [
        ("Fbeta(beta=2)", "soft-Fbeta-beta-2", [1], "sum"),
        ("mIoU+3*BF1", "soft-mIoU-BF1", [0.25, 0.75], "sum"),
        ("mIoU*BF1", "soft-mIoU-BF1", [1, 1], "product"),
        (Objective.parse("BIoU"), "soft-BIoU", [1], "sum"),
    ],
)
def test_soft_loss_is_the_objective_at_identity_curves(
    objective: Any, name: str, weights: list[float], combine: str
) -> None:
    spec = soft_loss(objective).spec
    assert (spec.name, spec.combine) == (name, combine)
    assert [term.weight for term in spec.terms] == weights
    space = SearchSpace(objective)
    assert spec == LossSpec.from_theta(name, space, space.identity())
    assert soft_loss("mIoU+BF1", tolerance=2).spec.terms[1].tolerance == 2


def test_bools_are_labels_of_classes_that_do_not_exclude_each_other() -> None:
    loss, logits = soft_loss("mIoU", activation="sigmoid"), samples.batch(0)[0]
    assert loss(logits, logits > 0) == loss(logits, (logits > 0).long())


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Takes away what a test registers."""
    yield
    METRICS.pop("OwnMetric", None)


@pytest.mark.parametrize("surface", SURFACES)
def test_a_registered_metric_has_everything(surface: str, tmp_path: Any) -> None:
    own_metric = register_metric(Metric("OwnMetric", lambda counts: iou(counts) ** 2)).name
    rng = np.random.default_rng(3)
    guess, target = samples.label_maps(rng, 5), samples.label_maps(rng, 5)
    scores = SegmentationScores(5, metrics=["mIoU", own_metric])
    scores.update(guess, target)
    columns = scores.per_class()
    np.testing.assert_allclose(columns[own_metric], np.square(columns["IoU"]))
    space = SearchSpace(own_metric, surface)
    theta = np.random.default_rng(0).random(space.dim)
    LossSpec.from_theta("own", space, theta).save(tmp_path / "own.json")
    loss = load_loss(tmp_path / "own.json")
    sure = loss(samples.sure_logits(guess, 5), torch.from_numpy(target))
    assert 1 - float(sure) == pytest.approx(scores.compute()[own_metric], rel=1e-6)


def test_a_score_without_a_gradient_is_only_evaluated() -> None:
    register_metric(Metric("OwnMetric", lambda counts: (iou(counts) > 0.5).double()))
    logits, target = samples.batch(0)
    scores, loss = SegmentationScores(5, metrics=["OwnMetric"]), soft_loss("mIoU+OwnMetric")
    scores.update(logits.argmax(1), target)
    assert scores.compute()["OwnMetric"] == 0
    assert loss(logits, target) > 0
    with pytest.raises(ValueError, match="OwnMetric has no gradient"):
        loss(logits.requires_grad_(), target)
