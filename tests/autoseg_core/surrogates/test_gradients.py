"""Gradients of the loss: void, absent classes, saturation, precision, control points, gradcheck."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import samples
import torch
from torch import Tensor

from autoseg_core import METRICS, LossSpec, LossTerm, soft_loss
from autoseg_core.scores import get_metric
from autoseg_core.surrogates.batch import Batch
from autoseg_core.surrogates.counting import soft_counts
from autoseg_core.surrogates.loss import AutoSegLoss

EVERY = pytest.mark.parametrize(("metric", "surface"), samples.TERMS)


@EVERY
@pytest.mark.parametrize("absent", ["ignore", "zero"])
def test_logits_at_void_pixels_change_nothing(metric: str, surface: str, absent: Any) -> None:
    loss = samples.loss_of(samples.term(metric, surface, absent=absent, tolerance=2))
    logits, target = samples.batch(0)
    void = (target == samples.VOID)[:, None]
    value, gradient = samples.value_and_gradient(loss, logits, target)
    assert (gradient.masked_select(void) == 0).all()
    assert gradient.any()
    for other in (-logits, logits.flip(1), torch.full_like(logits, 1e4), torch.zeros_like(logits)):
        changed = torch.where(void, other, logits)
        same_value, same_gradient = samples.value_and_gradient(loss, changed, target)
        assert torch.equal(value, same_value)
        assert torch.equal(gradient, same_gradient)


@EVERY
@pytest.mark.parametrize("absent", ["ignore", "zero"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_batch_of_void_is_a_finite_zero_with_a_graph(
    metric: str, surface: str, absent: Any, dtype: torch.dtype
) -> None:
    loss = samples.loss_of(samples.term(metric, surface, absent=absent))
    logits, target = samples.batch(1)
    value, gradient = samples.value_and_gradient(
        loss, logits.to(dtype), torch.full_like(target, samples.VOID)
    )
    assert value == 0
    assert gradient.dtype == dtype
    assert not gradient.any()
    assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)


@EVERY
@pytest.mark.parametrize("absent", ["ignore", "zero"])
def test_one_class_alone_has_finite_gradients(metric: str, surface: str, absent: Any) -> None:
    """No boundary in the target, and every other class absent."""
    loss = samples.loss_of(samples.term(metric, surface, absent=absent))
    logits, target = samples.batch(2)
    value, gradient = samples.value_and_gradient(loss, logits, torch.full_like(target, 2))
    assert value.isfinite()
    assert gradient.isfinite().all()


@EVERY
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_close_to_double(metric: str, surface: str, dtype: torch.dtype) -> None:
    loss = samples.loss_of(samples.term(metric, surface))
    logits, target = samples.batch(3)
    rounded = logits.to(dtype)
    value, gradient = samples.value_and_gradient(loss, rounded, target)
    exact, slope = samples.value_and_gradient(loss, rounded.double(), target)
    assert value.dtype == torch.float32
    assert float(value) == pytest.approx(float(exact), rel=1e-4)
    assert gradient.isfinite().all()
    spacing = torch.finfo(dtype)
    np.testing.assert_allclose(
        gradient.double().numpy(),
        slope.numpy(),
        rtol=2 * spacing.eps,
        atol=spacing.eps * float(slope.abs().max()) + spacing.tiny,
    )


@EVERY
def test_autocast_changes_nothing(metric: str, surface: str) -> None:
    loss = samples.loss_of(samples.term(metric, surface))
    logits, target = samples.batch(4)
    value, gradient = samples.value_and_gradient(loss, logits.float(), target)
    with torch.autocast("cpu", torch.bfloat16):
        same_value, same_gradient = samples.value_and_gradient(loss, logits.float(), target)
    assert torch.equal(value, same_value)
    assert torch.equal(gradient, same_gradient)


def steep_term(metric: str, surface: str) -> LossTerm:
    """Curves with u1 = 0: an infinite slope at 0, and with u = 1 before the end also at 1."""
    line = [(0.0, 0.0), (0.0, 0.6), (0.5, 0.7), (1.0, 0.8), (1.0, 1.0)]
    count = len(samples.term(metric).curves)
    return LossTerm(
        metric=metric,
        surface=surface,
        pieces=2 if surface == "bezier" else 4,
        control_points=tuple(tuple(line) for _ in range(count)),
    )


@EVERY
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [0.0, 20.0, 90.0, 1e4])
def test_saturated_logits_and_steep_curves_have_finite_gradients(
    metric: str, surface: str, dtype: torch.dtype, scale: float
) -> None:
    loss = samples.loss_of(steep_term(metric, surface))
    logits, target = samples.batch(5)
    value, gradient = samples.value_and_gradient(loss, (logits.sign() * scale).to(dtype), target)
    assert value.isfinite()
    assert gradient.isfinite().all()


@EVERY
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_broken_network_is_not_hidden(metric: str, surface: str, bad: float) -> None:
    loss = samples.loss_of(samples.term(metric, surface))
    logits, target = samples.batch(6)
    row, column = (target[0] != samples.VOID).nonzero()[0].tolist()
    spoiled = logits.clone()
    spoiled[0, :, row, column] = bad
    assert not loss(spoiled, target).isfinite()
    assert not loss(torch.full_like(logits, bad), target).isfinite()


@EVERY
def test_gradcheck_in_logits(metric: str, surface: str) -> None:
    loss = samples.loss_of(samples.term(metric, surface, seed=7, tolerance=1))
    rng = np.random.default_rng(7)
    logits = torch.from_numpy(rng.normal(size=(2, 3, 4, 5))).requires_grad_()
    target = torch.from_numpy(rng.integers(3, size=(2, 4, 5)))
    target[0, 0, :2] = samples.VOID
    assert torch.autograd.gradcheck(lambda x: loss(x, target), (logits,))


@EVERY
def test_gradcheck_in_control_points(metric: str, surface: str) -> None:
    """Theta is differentiable: the loss may be tuned by descent, not only by search."""
    term = samples.term(metric, surface, seed=8)
    logits, target = samples.batch(8)
    logits, target = logits[:1, :, :6, :7], target[:1, :6, :7]
    points = torch.tensor(term.control_points, dtype=torch.float64)

    def score(inner: Tensor) -> Tensor:
        curves = torch.cat([points[:, :1], inner, points[:, -1:]], dim=1)
        counts = soft_counts(term, curves, Batch(logits, target))
        return get_metric(metric).score(counts, torch.ones(5, dtype=torch.bool))

    inner = points[:, 1:-1].clone().requires_grad_()
    assert torch.autograd.gradcheck(score, (inner,))
    (gradient,) = torch.autograd.grad(score(inner), inner)
    assert gradient.any()


def test_descent_reaches_the_target() -> None:
    """The mIoU surrogate trains alone: from random logits to a perfect prediction."""
    spec = LossSpec(name="descent", terms=(samples.term("mIoU", seed=3),))
    loss = AutoSegLoss(spec)
    logits, target = samples.batch(11)
    logits.requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.5)
    for _ in range(60):
        optimizer.zero_grad()
        loss(logits, target).backward()
        optimizer.step()
    valid = target != samples.VOID
    assert float((logits.argmax(1) == target)[valid].double().mean()) > 0.99


@pytest.mark.parametrize("backend", ["reference", "auto"])
@pytest.mark.parametrize("metric", [*METRICS, "Tversky(alpha=1,beta=0)"])
@pytest.mark.parametrize("gap", [88.0, 95.0, 103.0])
def test_a_class_given_up_has_finite_gradients(metric: str, backend: Any, gap: float) -> None:
    """Sums of its probabilities are denormal numbers: a slope over them would overflow."""
    loss = soft_loss(metric, tolerance=1, backend=backend)
    logits, target = torch.zeros(1, 3, 6, 6), torch.zeros(1, 6, 6, dtype=torch.int64)
    logits[:, 0], logits[:, 2], target[0, 2:4, 2:4] = gap, -2 * gap, 1
    value, gradient = samples.value_and_gradient(loss, logits, target)
    assert value.isfinite()
    assert gradient.isfinite().all()
