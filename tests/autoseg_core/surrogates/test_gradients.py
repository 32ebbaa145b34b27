"""Gradients of every surrogate: void, absent classes, saturation, precision, gradcheck."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import samples
import torch
from torch import Tensor

from autoseg_core import METRICS, AutoSegLoss
from autoseg_core.scores import get_metric
from autoseg_core.surrogates.batch import Batch
from autoseg_core.surrogates.counting import soft_counts
from autoseg_core.surrogates.soft import soft_spec

CLASSES = 5
EACH = pytest.mark.parametrize(("metric", "surface"), samples.EACH)
COUNTED = pytest.mark.parametrize(("metric", "surface"), samples.COUNTED)
ABSENT = pytest.mark.parametrize("absent", ["ignore", "zero"])


@COUNTED
def test_logits_at_void_pixels_change_nothing(metric: str, surface: str) -> None:
    loss = samples.loss_of(samples.term(metric, surface, tolerance=2))
    logits, target = samples.batch(0)
    void = (target == samples.VOID)[:, None]
    value, gradient = samples.value_and_gradient(loss, logits, target)
    assert not gradient.masked_select(void).any()
    assert gradient.any()
    for other in (-logits, torch.full_like(logits, 1e4)):
        changed = torch.where(void, other, logits)
        same_value, same_gradient = samples.value_and_gradient(loss, changed, target)
        assert torch.equal(value, same_value) and torch.equal(gradient, same_gradient)


@EACH
@ABSENT
@pytest.mark.parametrize("label", [samples.VOID, 2])
def test_one_label_alone_has_finite_gradients(
    metric: str, surface: str, absent: Any, label: int
) -> None:
    """Of a class: no boundary in the target, and every other class absent."""
    loss = samples.loss_of(samples.term(metric, surface, absent=absent))
    logits, target = samples.batch(1)
    value, gradient = samples.value_and_gradient(loss, logits, torch.full_like(target, label))
    assert value.isfinite() and gradient.isfinite().all()
    if label == samples.VOID:
        assert value == 0 and not gradient.any()


@COUNTED
@pytest.mark.parametrize("shape", [(0, 4, 5), (1, 1, 7)])
def test_empty_and_thin_batches(metric: str, surface: str, shape: tuple[int, ...]) -> None:
    logits = torch.zeros(shape[0], CLASSES, *shape[1:], requires_grad=True)
    target = torch.arange(int(np.prod(shape))).view(shape) % CLASSES
    value = samples.loss_of(samples.term(metric, surface))(logits, target)
    value.backward()
    assert value.isfinite() and 0 <= value <= 1
    assert logits.grad is not None and logits.grad.isfinite().all()


@COUNTED
@pytest.mark.parametrize(
    ("dtype", "scale"), [(torch.float16, 90.0), (torch.float64, 0.0), (torch.float64, 1e4)]
)
def test_saturated_logits_and_steep_curves_have_finite_gradients(
    metric: str, surface: str, dtype: torch.dtype, scale: float
) -> None:
    loss = samples.loss_of(samples.extreme_term(metric, surface, "vertical at both"))
    logits, target = samples.batch(5)
    value, gradient = samples.value_and_gradient(loss, (logits.sign() * scale).to(dtype), target)
    assert 0 <= value <= 1
    assert gradient.isfinite().all()


@pytest.mark.parametrize("backend", ["reference", "auto"])
@pytest.mark.parametrize("metric", [*METRICS, "Tversky(alpha=1,beta=0)"])
def test_a_class_given_up_has_finite_gradients(metric: str, backend: Any) -> None:
    """Sums of its probabilities are denormal numbers: a slope over them would overflow."""
    loss = AutoSegLoss(soft_spec(metric, tolerance=1), backend=backend)
    logits, target = torch.zeros(1, 3, 6, 6), torch.zeros(1, 6, 6, dtype=torch.int64)
    logits[:, 0], logits[:, 2], target[0, 2:4, 2:4] = 103.0, -206.0, 1
    value, gradient = samples.value_and_gradient(loss, logits, target)
    assert value.isfinite()
    assert gradient.isfinite().all()


@COUNTED
def test_a_broken_network_is_not_hidden(metric: str, surface: str) -> None:
    loss = samples.loss_of(samples.term(metric, surface))
    logits, target = samples.batch(6)
    assert not loss(torch.full_like(logits, float("nan")), target).isfinite()
    row, column = (target[0] != samples.VOID).nonzero()[0].tolist()
    logits[0, :, row, column] = float("inf")
    assert not loss(logits, target).isfinite()


@COUNTED
def test_gradcheck_in_logits(metric: str, surface: str) -> None:
    loss = samples.loss_of(samples.term(metric, surface, seed=7, tolerance=1))
    rng = np.random.default_rng(7)
    logits = torch.from_numpy(rng.normal(size=(1, CLASSES, 4, 5))).requires_grad_()
    target = torch.from_numpy(rng.integers(CLASSES, size=(1, 4, 5)))
    target[0, 0, :2] = samples.VOID
    assert torch.autograd.gradcheck(lambda x: loss(x, target), (logits,))


@COUNTED
def test_gradcheck_in_control_points(metric: str, surface: str) -> None:
    """Theta is differentiable: a loss may be tuned by descent, not only by search."""
    term = samples.term(metric, surface, seed=8)
    logits, target = samples.batch(8, CLASSES, CLASSES)
    logits, target = logits[:1, :, :6, :7], target[:1, :6, :7]
    points = torch.tensor(term.control_points, dtype=torch.float64)

    def score(inner: Tensor) -> Tensor:
        curves = torch.cat([points[:, :1], inner, points[:, -1:]], dim=1)
        counts = soft_counts(term, curves, Batch(logits, target))
        return get_metric(term.metric).score(counts, counts.target > 0)

    inner = points[:, 1:-1].clone().requires_grad_()
    assert torch.autograd.gradcheck(score, (inner,))
    (gradient,) = torch.autograd.grad(score(inner), inner)
    assert gradient.any()
