"""Every shipped metric, and one that is registered here: exact score, surrogate, gradients."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, product
from typing import Any

import closed_forms
import numpy as np
import pytest
import samples
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from autoseg_core import (
    AutoSegLoss,
    LossSpec,
    LossTerm,
    Metric,
    SearchSpace,
    SegmentationScores,
    get_metric,
    load_loss,
    register_metric,
    soft_loss,
)
from autoseg_core.numerics import safe_divide
from autoseg_core.scores import METRICS
from autoseg_core.surfaces import SURFACES
from autoseg_core.surrogates.batch import Batch
from autoseg_core.surrogates.counting import soft_counts

CLASSES = 5
SHIPPED = pytest.mark.parametrize("metric", samples.SURROGATES)
BEYOND_SIX = samples.SURROGATES[6:]
EVERY = pytest.mark.parametrize(("metric", "surface"), list(product(BEYOND_SIX, SURFACES)))
# What does not depend on the surface: one each, in turn.
EACH = pytest.mark.parametrize(
    ("metric", "surface"), list(zip(BEYOND_SIX, cycle(SURFACES), strict=False))
)


def images(seed: int, present: int = CLASSES) -> tuple[Any, Any]:
    """A prediction of all classes, and a target of the first ``present`` with void; (N, H, W)."""
    rng = np.random.default_rng(seed)
    target = samples.label_maps(rng, present)
    other = samples.label_maps(rng, CLASSES)
    return np.where(rng.random(target.shape) < 0.7, target, other), samples.with_void(rng, target)


def exact(metric: str, guess: Any, target: Any, tolerance: int = 2) -> float:
    scores = SegmentationScores(CLASSES, tolerance=tolerance, metrics=[samples.scored(metric)])
    scores.update(guess, target)
    (value,) = scores.compute().values()
    return value


@SHIPPED
@pytest.mark.parametrize("present", [4, 5])
@pytest.mark.parametrize("seed", range(3))
def test_the_exact_score_is_the_textbook_form(metric: str, present: int, seed: int) -> None:
    guess, target = images(seed, present)
    maps = closed_forms.one_hot(torch.from_numpy(guess), CLASSES)
    expected = closed_forms.score(metric, maps, torch.from_numpy(target), samples.VOID, 2)
    assert exact(metric, guess, target) == pytest.approx(float(expected), rel=1e-12)


@EVERY
@pytest.mark.parametrize("seed", range(3))
def test_at_one_hot_predictions_the_loss_is_one_minus_the_metric(
    metric: str, surface: str, seed: int
) -> None:
    """With void, an absent class, and random control points."""
    guess, target = images(seed, 4)
    loss = samples.loss_of(samples.term(metric, surface, seed, tolerance=2))
    value = loss(samples.sure_logits(guess, CLASSES), torch.from_numpy(target))
    assert 1 - float(value) == pytest.approx(exact(metric, guess, target), rel=1e-6)


@SHIPPED
@pytest.mark.parametrize("surface", SURFACES)
def test_identity_curves_give_the_textbook_form_in_value_and_gradient(
    metric: str, surface: str
) -> None:
    space = SearchSpace(metric, surface)
    loss = samples.loss_of(samples.term_at(space, space.identity(), tolerance=2))
    logits, target = samples.batch(1, CLASSES, CLASSES)
    value, gradient = samples.value_and_gradient(loss, logits, target)
    twin = logits.clone().requires_grad_()
    expected = 1 - closed_forms.score(metric, twin.softmax(1), target, samples.VOID, 2)
    (slope,) = torch.autograd.grad(expected, twin)
    torch.testing.assert_close(value, expected.detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, slope, rtol=1e-8, atol=1e-15)


def test_the_identity_of_dice_is_the_soft_dice_loss() -> None:
    """1 - 2 |py| / (|p| + |y|) (Milletari et al. 2016, with probabilities unsquared)."""
    logits, target = samples.batch(2, 4, 4)
    valid = target != samples.VOID
    p = logits.softmax(1).movedim(1, -1)[valid]
    y = torch.nn.functional.one_hot(target[valid], 4)
    dice = 2 * (p * y).sum(0) / (p.sum(0) + y.sum(0))
    value = soft_loss("Dice")(logits, target)
    torch.testing.assert_close(value, 1 - dice.mean(), rtol=1e-12, atol=0)


@EACH
def test_gradcheck_in_logits(metric: str, surface: str) -> None:
    loss = samples.loss_of(samples.term(metric, surface, seed=7))
    rng = np.random.default_rng(7)
    logits = torch.from_numpy(rng.normal(size=(1, CLASSES, 4, 5))).requires_grad_()
    target = torch.from_numpy(rng.integers(CLASSES, size=(1, 4, 5)))
    target[0, 0, :2] = samples.VOID
    assert torch.autograd.gradcheck(lambda x: loss(x, target), (logits,))


@EVERY
def test_every_control_point_matters(metric: str, surface: str) -> None:
    """No coordinate of the search is idle: each curve gets a gradient."""
    term = samples.term(metric, surface, seed=8)
    logits, target = samples.batch(8, CLASSES, CLASSES)
    points = torch.tensor(term.control_points, dtype=torch.float64, requires_grad=True)
    counts = soft_counts(term, points, Batch(logits, target))
    score = get_metric(term.metric).score(counts, torch.ones(CLASSES, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(score, points)
    assert gradient.isfinite().all()
    assert gradient[:, 1:-1].flatten(1).any(dim=1).all()


@EACH
def test_logits_at_void_pixels_change_nothing(metric: str, surface: str) -> None:
    loss = samples.loss_of(samples.term(metric, surface))
    logits, target = samples.batch(0)
    void = (target == samples.VOID)[:, None]
    value, gradient = samples.value_and_gradient(loss, logits, target)
    other = torch.where(void, torch.full_like(logits, 1e4), logits)
    same_value, same_gradient = samples.value_and_gradient(loss, other, target)
    assert torch.equal(value, same_value) and torch.equal(gradient, same_gradient)
    assert not gradient.masked_select(void).any() and gradient.any()


@EACH
@pytest.mark.parametrize("label", [samples.VOID, 2])
@pytest.mark.parametrize("absent", ["ignore", "zero"])
def test_one_label_alone_has_finite_gradients(
    metric: str, surface: str, label: int, absent: Any
) -> None:
    loss = samples.loss_of(samples.term(metric, surface, absent=absent))
    logits, target = samples.batch(2)
    value, gradient = samples.value_and_gradient(loss, logits, torch.full_like(target, label))
    assert value.isfinite() and gradient.isfinite().all()
    if label == samples.VOID:
        assert value == 0 and not gradient.any()


@EACH
@pytest.mark.parametrize("scale", [0.0, 90.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_saturated_logits_have_finite_gradients(
    metric: str, surface: str, scale: float, dtype: torch.dtype
) -> None:
    loss = samples.loss_of(samples.term(metric, surface))
    logits, target = samples.batch(5)
    value, gradient = samples.value_and_gradient(loss, (logits.sign() * scale).to(dtype), target)
    assert value.isfinite() and 0 <= value <= 1
    assert gradient.isfinite().all()


@EACH
def test_a_broken_network_is_not_hidden(metric: str, surface: str) -> None:
    loss = samples.loss_of(samples.term(metric, surface))
    logits, target = samples.batch(6)
    assert not loss(torch.full_like(logits, float("nan")), target).isfinite()


@EACH
@pytest.mark.parametrize("shape", [(0, 4, 5), (1, 1, 1), (1, 1, 7)])
def test_empty_and_thin_batches(metric: str, surface: str, shape: tuple[int, ...]) -> None:
    logits = torch.zeros(shape[0], CLASSES, *shape[1:], requires_grad=True)
    target = torch.arange(int(np.prod(shape))).view(shape) % CLASSES
    value = samples.loss_of(samples.term(metric, surface))(logits, target)
    value.backward()
    assert value.isfinite() and 0 <= value <= 1
    assert logits.grad is not None and logits.grad.isfinite().all()


@EACH
def test_counts_of_images_add_up_to_the_batch(metric: str, surface: str) -> None:
    term = samples.term(metric, surface)
    points = torch.tensor(term.control_points, dtype=torch.float64)
    logits, target = samples.batch(0)
    batch = Batch(logits, target)
    parts = [soft_counts(term, points, image) for image in batch.images()]
    whole = soft_counts(term, points, batch)
    torch.testing.assert_close((parts[0] + parts[1]).tensors(), whole.tensors())


@EACH
def test_no_host_sync_on_fake_cuda_tensors(metric: str, surface: str) -> None:
    loss = samples.loss_of(samples.term(metric, surface, drop_background=True))
    with FakeTensorMode() as mode:
        state = {name: mode.from_tensor(b).to("cuda") for name, b in loss.named_buffers()}
        logits = torch.empty(2, CLASSES, 14, 18, device="cuda", requires_grad=True)
        target = torch.empty(2, 14, 18, device="cuda", dtype=torch.int64)
        value = torch.func.functional_call(loss, state, (logits, target))
    assert value.device.type == "cuda" and value.shape == () and value.requires_grad


@SHIPPED
def test_a_term_survives_json_and_a_space_a_dict(metric: str) -> None:
    term = samples.term(metric)
    spec = LossSpec(name="s", terms=(term,))
    assert LossSpec.from_json(spec.to_json()) == spec
    assert term.metric == samples.scored(metric)


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


def test_bands_are_of_classes_that_exclude_each_other_and_of_images() -> None:
    spec = LossSpec(name="sample", terms=(samples.term("BoundaryIoU(radius=2)"),))
    with pytest.raises(ValueError, match=r"BoundaryIoU\(radius=2\) looks at boundaries between"):
        AutoSegLoss(spec, activation="sigmoid")
    volume = torch.zeros(1, CLASSES, 2, 3, 4)
    with pytest.raises(ValueError, match=r"BoundaryIoU\(radius=2\) needs images"):
        AutoSegLoss(spec)(volume, torch.zeros(1, 2, 3, 4, dtype=torch.int64))


def test_a_term_takes_any_spelling_and_keeps_the_canonical_one() -> None:
    space = SearchSpace("Fbeta( beta = 2.0 )")
    term = samples.term_at(space, space.identity())
    assert str(space.objective) == term.metric == "Fbeta(beta=2)"
    other = term.model_dump() | {"metric": "Fbeta(beta=2.0)"}
    assert LossTerm(**other) == term


def test_classes_beyond_those_of_the_logits_are_named() -> None:
    loss = samples.loss_of(samples.term("IoU(classes=[1,7])"))
    with pytest.raises(ValueError, match=r"IoU\(classes=\[1,7\]\) looks at class 7, .* 0\.\.4"):
        loss(*samples.batch(0))
    loss = samples.loss_of(samples.term("wIoU(weights=[1,2])"))
    with pytest.raises(ValueError, match=r"a weight for each of 5 classes, got 2: \[1\.0, 2\.0\]"):
        loss(*samples.batch(0))


@pytest.fixture
def own_metric() -> Iterator[str]:
    """Three lines of a user: a function, a row, its registration."""

    def markedness(counts: Any) -> Tensor:
        return safe_divide(counts.intersection, counts.union) ** 2

    name = register_metric(Metric("OwnMetric", markedness)).name
    yield name
    del METRICS[name]


@pytest.mark.parametrize("surface", SURFACES)
def test_a_registered_metric_has_everything(own_metric: str, surface: str, tmp_path: Any) -> None:
    guess, target = images(3)
    scores = SegmentationScores(CLASSES, metrics=["mIoU", own_metric])
    scores.update(guess, target)
    columns = scores.per_class()
    np.testing.assert_allclose(columns[own_metric], np.square(columns["IoU"]))
    value = scores.compute()[own_metric]
    assert value == pytest.approx(np.mean(columns[own_metric]))
    space = SearchSpace(own_metric, surface)
    assert space.dim == SearchSpace("mIoU", surface).dim
    term = samples.term_at(space, np.random.default_rng(0).random(space.dim))
    LossSpec(name="own", terms=(term,)).save(tmp_path / "own.json")
    loss = load_loss(tmp_path / "own.json")
    sure = loss(samples.sure_logits(guess, CLASSES), torch.from_numpy(target))
    assert 1 - float(sure) == pytest.approx(value, rel=1e-6)
