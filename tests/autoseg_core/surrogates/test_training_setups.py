"""The loss in what trainings are made of: compiled steps, mixed precision, copies, checkpoints.

N: images; C: classes; H, W: pixels. Processes are in ``test_distributed``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import samples
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils.checkpoint import checkpoint

from autoseg_core import AutoSegLoss

# One for each way of counting.
METRIC = pytest.mark.parametrize("metric", ["mIoU", "BIoU", "BF1", "BoundaryIoU(radius=2)"])

IMAGES = torch.randn(2, 3, 14, 18, generator=torch.Generator().manual_seed(0))
LOGITS, TARGET = samples.batch(0)


def loss_of(metric: str, **options: Any) -> AutoSegLoss:
    return samples.loss_of(samples.term(metric, tolerance=2), **options)


class Training(nn.Module):
    """A network with its loss inside, as frameworks build it."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        layers = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 5, 1)]
        self.network = nn.Sequential(*layers)
        self.loss = loss

    def forward(self, images: Tensor, target: Tensor) -> Tensor:
        value: Tensor = self.loss(self.network(images), target)
        return value

    def gradients(self, value: Tensor) -> list[Tensor]:
        return list(torch.autograd.grad(value, list(self.network.parameters())))


def assert_near(found: list[Tensor], expected: list[Tensor], within: float) -> None:
    """Finite, and ``within`` of the largest number of each tensor."""
    for a, b in zip(found, expected, strict=True):
        assert a.isfinite().all() and b.any()
        torch.testing.assert_close(a, b, rtol=0, atol=within * float(b.abs().max()))


# Compiled


# Dynamo asks every tensor for its .grad, and is warned where that is not a leaf.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script")
def test_a_training_step_by_the_default_compiler() -> None:
    torch._dynamo.reset()
    loss = loss_of("mAcc")
    found = samples.value_and_gradient(torch.compile(loss, fullgraph=True), LOGITS, TARGET)
    assert_near(list(found), list(samples.value_and_gradient(loss, LOGITS, TARGET)), 1e-6)


# Precision


@METRIC
def test_float16_with_a_scaled_loss(metric: str) -> None:
    """Logit gradients of some 1e-8 are zero in float16; scaled, they are not."""
    loss = loss_of(metric)
    weights = LOGITS.half().float().requires_grad_()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    optimizer = torch.optim.SGD([weights], lr=1.0)
    _, exact = samples.value_and_gradient(loss, weights.detach().double(), TARGET)
    _, plain = samples.value_and_gradient(loss, weights.detach().half(), TARGET)
    scaler.scale(loss(weights.half(), TARGET)).backward()
    scaler.unscale_(optimizer)
    assert weights.grad is not None
    assert_near([weights.grad.double()], [exact], torch.finfo(torch.float16).eps)
    assert int((weights.grad == 0).sum()) < int((plain == 0).sum())
    before = weights.detach().clone()
    scaler.step(optimizer)
    assert torch.equal(weights.detach(), before - weights.grad)  # not left out for an infinity


def test_no_cast_no_device_and_no_checkpoint_changes_the_loss() -> None:
    """A network cast with its loss inside would else train with another loss."""
    with torch.device("meta"):
        model = Training(loss_of("BF1"))
    assert list(model.loss.parameters()) == [] and not model.loss.state_dict()
    model = model.to_empty(device="cpu").to(torch.bfloat16)
    assert model.network[0].weight.dtype == torch.bfloat16
    assert model.loss(LOGITS, TARGET) == loss_of("BF1")(LOGITS, TARGET)


def test_buffers_that_a_wrapper_rounds_change_nothing() -> None:
    """As ``MixedPrecision.buffer_dtype`` of FSDP does, past ``.to()``."""
    loss = loss_of("BF1")
    points = loss.get_buffer("points_0")
    points.data = points.to(torch.bfloat16)
    assert loss.get_buffer("points_0").dtype == torch.bfloat16
    assert loss(LOGITS.float(), TARGET) == loss_of("BF1")(LOGITS.float(), TARGET)


# Autograd


@pytest.mark.parametrize("reentrant", [False, True])
@METRIC
def test_gradient_checkpointing(metric: str, reentrant: bool) -> None:
    model = Training(loss_of(metric))
    expected = model(IMAGES, TARGET)
    logits = model.network(IMAGES)
    value = checkpoint(model.loss, logits, TARGET, use_reentrant=reentrant)
    assert value == expected
    value.backward()
    found = [p.grad for p in model.network.parameters() if p.grad is not None]
    assert_near(found, model.gradients(expected), 1e-6)


def squared_slope(loss: AutoSegLoss, logits: Tensor) -> Tensor:
    (slope,) = torch.autograd.grad(loss(logits, TARGET), logits, create_graph=True)
    return slope.square().sum()


@METRIC
def test_second_derivatives_of_the_reference(metric: str) -> None:
    loss, logits = loss_of(metric, backend="reference"), LOGITS.clone().requires_grad_()
    (found,) = torch.autograd.grad(squared_slope(loss, logits), logits)
    along = LOGITS.sin()
    ahead, behind = (
        squared_slope(loss, (LOGITS + step * along).requires_grad_()) for step in (1e-6, -1e-6)
    )
    expected = float(ahead.detach() - behind.detach()) / 2e-6
    assert float((found * along).sum()) == pytest.approx(expected, rel=1e-4)


@METRIC
def test_second_derivatives_are_refused_elsewhere(metric: str) -> None:
    logits = LOGITS.clone().requires_grad_()
    total = squared_slope(loss_of(metric), logits)
    with pytest.raises(RuntimeError, match=r"second derivatives .* backend='reference'"):
        total.backward()


def test_forward_mode_is_refused_elsewhere() -> None:
    with (
        forward_ad.dual_level(),
        pytest.raises(RuntimeError, match=r"forward mode.* backend='reference'"),
    ):
        loss_of("BF1")(forward_ad.make_dual(LOGITS, LOGITS.sin()), TARGET)


def test_transforms_of_torch_func_with_the_reference() -> None:
    loss, logits = loss_of("BF1", backend="reference"), LOGITS.clone()
    value, gradient = samples.value_and_gradient(loss, logits, TARGET)
    torch.testing.assert_close(torch.func.grad(loss)(logits, TARGET), gradient)
    ahead = torch.func.jvp(lambda x: loss(x, TARGET), (logits,), (gradient,))[1]
    torch.testing.assert_close(ahead, gradient.square().sum())
    networks = torch.stack([logits, -logits])
    values = torch.func.vmap(lambda x: loss(x, TARGET))(networks)
    torch.testing.assert_close(values, torch.stack([value, loss(-logits, TARGET)]))


# Repeatability


@pytest.fixture
def threads() -> Iterator[Any]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def large_batch() -> tuple[Tensor, Tensor]:
    """Float32 logits (2, 4, 80, 80) and target: enough for several threads."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 80, 80, generator=generator)
    blocks = torch.randint(4, (2, 10, 10), generator=generator)
    return logits, blocks.repeat_interleave(8, 1).repeat_interleave(8, 2)


@METRIC
def test_the_number_of_threads_does_not_matter(metric: str, threads: Any) -> None:
    expected = samples.value_and_gradient(loss_of(metric), *large_batch())
    threads(3)
    found = samples.value_and_gradient(loss_of(metric), *large_batch())
    assert_near(list(found), list(expected), 1e-6)
