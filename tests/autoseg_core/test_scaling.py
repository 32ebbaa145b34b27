"""gradient_scale: closed forms, one norm per batch, void pixels, and what has no gradient.

C: classes; M: valid pixels; T_c: pixels of class c.
"""

from __future__ import annotations

import math

import pytest
import samples
import torch
import torch.nn.functional as F
from torch import Tensor

from autoseg_core import AutoSegLoss, gradient_scale, load_loss, soft_loss

CROSS_ENTROPY = torch.nn.CrossEntropyLoss(ignore_index=samples.VOID)


def uniform(counts: list[int], void: int = 0) -> tuple[Tensor, Tensor]:
    """Equal logits (1, C, 1, M + void), and labels that occur ``counts`` times, then void ones."""
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    target = F.pad(labels, (0, void), value=samples.VOID)[None, None]
    return torch.zeros(1, len(counts), 1, target.shape[-1], dtype=torch.float64), target


@pytest.mark.parametrize("void", [0, 3])
@pytest.mark.parametrize("counts", [[4, 4], [1, 2, 3, 10], [5, 1, 1]])
def test_accuracies_where_all_classes_are_equally_likely(counts: list[int], void: int) -> None:
    """A pixel's p - y has one size for all classes, so only the weights of the pixels differ.

    They are 1 / M for cross entropy, 1 / (C M) for gAcc, whose p_c is 1 / C, and 1 / (C C T_c) for
    mAcc; the L2 norms of their vectors are 1 / sqrt(M), 1 / (C sqrt(M)), sqrt(sum 1 / T_c) / C^2.
    """
    classes, pixels = len(counts), sum(counts)
    batch = uniform(counts, void)
    assert gradient_scale(soft_loss("gAcc"), [batch]) == pytest.approx(classes, rel=1e-12)
    by_class = math.sqrt(pixels * sum(1 / count for count in counts))
    expected = classes**2 / by_class
    assert gradient_scale(soft_loss("mAcc"), [batch]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("metric", ["mIoU", "BF1"])
def test_a_scaled_loss_needs_no_more(metric: str) -> None:
    batches = [samples.batch(seed) for seed in range(2)]
    loss = load_loss(metric)
    factor = gradient_scale(loss, batches)
    assert factor == pytest.approx(
        gradient_scale(loss, batches, reference=CROSS_ENTROPY), rel=1e-12
    )
    scaled = AutoSegLoss(loss.spec.scaled(factor))
    assert gradient_scale(scaled, batches) == pytest.approx(1, rel=1e-12)


def test_the_mean_is_that_of_the_norms_of_the_batches() -> None:
    """Norms 5 and 13, against sqrt(2) twice; they are neither added as vectors nor squared."""
    slopes = torch.tensor([[3.0, -4.0], [-12.0, 5.0]])
    batches = ((torch.zeros(1, 2, 1, 1), torch.tensor([[[index]]])) for index in range(2))

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        return (logits.flatten() * slopes[target.item()]).sum()

    found = gradient_scale(loss, batches, reference=lambda logits, _: logits.sum())
    assert found == pytest.approx(math.sqrt(2) / 9, rel=1e-7)


def test_logits_of_the_inference_mode() -> None:
    loss, batch = soft_loss("mIoU"), samples.batch(1)
    with torch.inference_mode():
        made = [(batch[0] * 1, batch[1] * 1)]
        inside = gradient_scale(loss, made)
    assert gradient_scale(loss, made) == inside == gradient_scale(loss, [batch])


def test_void_pixels_and_batches_have_no_part() -> None:
    logits, target = samples.batch(1)
    void = target == samples.VOID
    expected = gradient_scale(soft_loss("mIoU"), [(logits, target)])
    unknown = torch.where(void[:, None], torch.nan, logits)
    nothing = (logits, torch.full_like(target, samples.VOID))
    several = torch.where(void & (torch.arange(18) % 2 == 0), 7, target)
    loss = soft_loss("mIoU", ignore_index=[samples.VOID, 7])
    found = [
        gradient_scale(soft_loss("mIoU"), [(unknown, target)]),
        gradient_scale(soft_loss("mIoU"), [(logits, target), nothing]),
        gradient_scale(loss, [(logits, several)]),
    ]
    assert found == pytest.approx([expected] * 3, rel=1e-12)


def test_the_gradient_of_upsampled_logits_is_that_before() -> None:
    logits, target = samples.batch(2)
    small = logits[..., ::2, ::3].contiguous()

    def upsampled(logits: Tensor, target: Tensor) -> Tensor:
        return CROSS_ENTROPY(F.interpolate(logits, target.shape[1:], mode="bilinear"), target)

    loss = soft_loss("mIoU", upsample="bilinear")
    expected = gradient_scale(loss, [(small, target)], reference=upsampled)
    assert gradient_scale(loss, [(small, target)]) == pytest.approx(expected, rel=1e-12)


def test_under_sigmoid_cross_entropy_is_binary() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, 6, generator=generator, dtype=torch.float64)
    target = torch.randint(2, logits.shape, generator=generator)
    weight = torch.rand(logits.shape, generator=generator) > 0.3

    def binary(logits: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits[weight], target[weight].double())

    loss = soft_loss("mIoU", activation="sigmoid")
    batch = (logits, target.where(weight, samples.VOID))
    assert gradient_scale(loss, [batch]) == pytest.approx(
        gradient_scale(loss, [batch], reference=binary), rel=1e-12
    )
