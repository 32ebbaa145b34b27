"""AutoSegLoss as a module: inputs and their errors, state, copies, precision of the result."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import samples
import torch

from autoseg_core import AutoSegLoss

EVERY = pytest.mark.parametrize(("metric", "surface"), samples.TERMS)
LOSS = samples.loss_of(samples.term("mIoU"), samples.term("BF1", weight=0.5))
LOGITS = torch.zeros(2, 3, 4, 5)
TARGET = torch.zeros(2, 4, 5, dtype=torch.int64)


@pytest.mark.parametrize(
    ("logits", "target", "words"),
    [
        (LOGITS[0], TARGET, r"logits of shape \(N, C, H, W\) .* got \(3, 4, 5\) and torch.float32"),
        (LOGITS.long(), TARGET, r"and a float dtype, got \(2, 3, 4, 5\) and torch.int64"),
        (
            LOGITS,
            TARGET[:1],
            r"integer target of shape \(2, 4, 5\) .* got torch.int64 of shape \(1, 4",
        ),
        (LOGITS, TARGET[:, :2], r"integer target of shape \(2, 4, 5\) .* of shape \(2, 2, 5\)"),
        (
            LOGITS,
            LOGITS,
            r"integer target of shape \(2, 4, 5\) .* got torch.float32 of shape \(2, 3",
        ),
        (LOGITS, TARGET.bool(), r"Expected an integer target .* got torch.bool"),
        (LOGITS, TARGET + 3, r"outside the classes 0\.\.2, such as 3; void pixels must be 255"),
        (LOGITS, TARGET.numpy(), r"target as a tensor, got numpy.ndarray; torch.as_tensor\(target"),
        (
            LOGITS,
            np.ma.masked_equal(TARGET.numpy(), 1),
            r"got numpy.ma.MaskedArray; torch.as_tensor\(target.filled\(ignore_index\)\)",
        ),
        (LOGITS, TARGET[:, None], r"got torch.int64 of shape \(2, 1, 4, 5\); target.squeeze\(1\)"),
        (LOGITS.tolist(), TARGET, r"logits as a tensor, got builtins.list; torch.as_tensor\("),
        (
            LOGITS,
            TARGET.to("meta"),
            r"on one device, got cpu and meta; .* target.to\(logits.device",
        ),
        (LOGITS[:, :1], TARGET, r"C >= 2 under softmax .* got .* = \(2, 1, 4, 5\); .*'sigmoid'"),
        (LOGITS[:, :0], TARGET, r"C >= 2 under softmax .* got .* = \(2, 0, 4, 5\)"),
        (LOGITS[..., :0], TARGET[..., :0], r"at least one pixel, got .* = \(2, 3, 4, 0\)"),
        (LOGITS[:, :, :0], TARGET[:, :0], r"at least one pixel, got .* = \(2, 3, 0, 5\)"),
        (LOGITS, TARGET - 1, r"outside the classes 0\.\.2, such as -1; .*ignore_index"),
    ],
)
def test_bad_input_is_named(logits: Any, target: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        LOSS(logits, target)


def test_another_void_label_is_named() -> None:
    loss = AutoSegLoss(LOSS.spec, ignore_index=11)
    assert loss(LOGITS, TARGET + 11) == 0
    with pytest.raises(ValueError, match=r"such as 255; void pixels must be 11"):
        loss(LOGITS, TARGET + 255)


@EVERY
@pytest.mark.parametrize("shape", [(0, 3, 4, 5), (1, 3, 1, 1), (1, 3, 1, 7), (1, 3, 7, 1)])
def test_empty_and_thin_batches(metric: str, surface: str, shape: tuple[int, ...]) -> None:
    loss = samples.loss_of(samples.term(metric, surface))
    logits = torch.zeros(shape, requires_grad=True)
    target = torch.arange(shape[0] * shape[2] * shape[3]).view(shape[0], *shape[2:]) % 3
    value = loss(logits, target)
    value.backward()
    assert value.shape == ()
    assert value.isfinite() and 0 <= value <= 1
    assert logits.grad is not None and logits.grad.isfinite().all()


def test_layouts_give_the_same_value() -> None:
    logits, target = samples.batch(0)
    expected = LOSS(logits, target)
    assert LOSS(logits.to(memory_format=torch.channels_last), target) == expected
    assert LOSS(logits, target.mT.contiguous().mT) == expected


@EVERY
def test_the_loss_lies_between_0_and_1(metric: str, surface: str) -> None:
    for seed in range(5):
        value = samples.loss_of(samples.term(metric, surface, seed))(*samples.batch(seed))
        assert 0 <= value <= 1


def test_equal_input_gives_an_equal_loss_and_gradient() -> None:
    logits, target = samples.batch(1)
    runs = []
    for _ in range(2):
        x = logits.clone().requires_grad_()
        value = LOSS(x, target)
        runs.append((value, *torch.autograd.grad(value, x)))
    assert torch.equal(runs[0][0], runs[1][0])
    assert torch.equal(runs[0][1], runs[1][1])


def test_terms_add_up_in_value_and_gradient() -> None:
    first = samples.term("mIoU", "bezier", weight=0.3)
    second = samples.term("BF1", "bezier", weight=2.0)
    alone = [term.model_copy(update={"weight": 1.0}) for term in (first, second)]
    logits, target = samples.batch(9)
    value, gradient = samples.value_and_gradient(samples.loss_of(first, second), logits, target)
    parts = [samples.value_and_gradient(samples.loss_of(term), logits, target) for term in alone]
    torch.testing.assert_close(value, 0.3 * parts[0][0] + 2 * parts[1][0])
    torch.testing.assert_close(gradient, 0.3 * parts[0][1] + 2 * parts[1][1])


def test_a_term_without_a_class_to_look_at_costs_nothing() -> None:
    """An image of one class has no boundary: the boundary term rests, the other still teaches."""
    region, edge = samples.term("mIoU"), samples.term("BF1")
    logits, target = samples.batch(10)
    flat = torch.zeros_like(target)
    both, alone = samples.loss_of(region, edge), samples.loss_of(region)
    value, gradient = samples.value_and_gradient(both, logits, flat)
    expected, slope = samples.value_and_gradient(alone, logits, flat)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, slope)


def test_control_points_are_buffers_and_nothing_is_trained() -> None:
    assert list(LOSS.parameters()) == []
    assert {name: tuple(b.shape) for name, b in LOSS.named_buffers()} == {
        "points_0": (2, 5, 2),
        "points_1": (4, 3, 2),
    }
    for term, points in zip(LOSS.spec.terms, LOSS.buffers(), strict=True):
        assert torch.equal(points, torch.tensor(term.control_points, dtype=torch.float64))
    assert not LOSS.state_dict()


def test_to_moves_the_control_points() -> None:
    moved = copy.deepcopy(LOSS).to("meta")
    assert all(b.device.type == "meta" for b in moved.buffers())
    assert all(b.device.type == "cpu" for b in LOSS.buffers())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("prefix", ["", "0."], ids=["alone", "within a network"])
def test_control_points_of_older_checkpoints_are_passed_over(prefix: str, dtype: Any) -> None:
    """They may be of another loss, with more terms."""
    loss = samples.loss_of(samples.term("mIoU", seed=5))
    before, points = loss(*samples.batch(2)), loss.get_buffer("points_0").clone()
    state = {prefix + name: b.to(dtype) for name, b in LOSS.named_buffers()}
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
    twin = copied(LOSS)
    assert twin.spec == LOSS.spec
    assert twin.ignore_index == LOSS.ignore_index
    assert twin(*samples.batch(3)) == LOSS(*samples.batch(3))


def test_print_tells_what_it_is() -> None:
    assert repr(LOSS) == "AutoSegLoss(sample: 1 mIoU + 0.5 BF1, ignore_index=255)"


@pytest.mark.parametrize("metric", ["mIoU", "BF1"])
def test_per_image_an_image_without_a_class_to_see_has_no_say(metric: str) -> None:
    loss = AutoSegLoss(samples.loss_of(samples.term(metric)).spec, per_image=True)
    logits, target = samples.batch(0)
    both = (loss(logits[:1], target[:1]) + loss(logits[1:], target[1:])) / 2
    torch.testing.assert_close(loss(logits, target), both)
    target[1] = samples.VOID
    torch.testing.assert_close(loss(logits, target), loss(logits[:1], target[:1]))
    assert loss(logits[1:], target[1:]) == 0


@EVERY
@pytest.mark.parametrize("void", [np.int64(255), [255, 7, -1]], ids=str)
def test_void_labels_are_whole_numbers_or_several(metric: str, surface: str, void: Any) -> None:
    spec = samples.loss_of(samples.term(metric, surface)).spec
    logits, target = samples.batch(0)
    expected = samples.value_and_gradient(AutoSegLoss(spec), logits, target)
    others = np.where(np.indices(target.shape).sum(0) % 2, np.ravel(void)[-1], 255)
    mixed = torch.where(target == 255, torch.from_numpy(others), target)
    found = samples.value_and_gradient(AutoSegLoss(spec, void), logits, mixed)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_an_unfit_void_label_is_refused() -> None:
    with pytest.raises(ValueError, match="ignore_index is one label or several"):
        AutoSegLoss(LOSS.spec, ignore_index="255")


@pytest.mark.parametrize("metric", ["mIoU", "BIoU", "BF1"])
@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_a_tolerance_beyond_the_image_costs_what_its_sides_cost(metric: str, backend: Any) -> None:
    logits, target = samples.batch(0)
    near, far = (
        AutoSegLoss(samples.loss_of(samples.term(metric, tolerance=r)).spec, backend=backend)
        for r in (max(target.shape[-2:]), 1000)
    )
    assert torch.equal(far(logits, target), near(logits, target))
