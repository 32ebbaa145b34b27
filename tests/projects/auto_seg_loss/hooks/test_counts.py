"""hooks/counts.py: the counts of a searched loss, as its own surrogates give them."""

from __future__ import annotations

import pytest
import torch

from auto_seg_loss.hooks.counts import LossCounts
from autoseg_core import AutoSegLoss, LossSpec, SearchSpace, load_loss

CLASSES = ["sky", "road", "car"]


def spec(*metrics: str) -> LossSpec:
    terms = []
    for metric in metrics:
        space = SearchSpace(metric)
        terms += LossSpec.from_theta("identity", space, space.identity()).terms
    return LossSpec.of_terms("identity", *terms)


def one_hot(target: torch.Tensor) -> torch.Tensor:
    """Logits that are sure of the target, void pixels of class 0."""
    hot = torch.nn.functional.one_hot(target.where(target != 255, 0), 3)
    return 40.0 * hot.movedim(-1, 1).float()


TARGET = torch.tensor([[[0, 0, 0, 1], [0, 0, 1, 1], [255, 0, 1, 1]]])


@pytest.fixture
def step():
    def call(loop):
        loop.model.sem_seg_head.loss(one_hot(TARGET).requires_grad_(), TARGET).backward()

    return call


def test_counts_of_a_sure_network_are_those_of_the_labels(train, make_model, step):
    hook, model = LossCounts(2, CLASSES), make_model(AutoSegLoss(spec("mIoU")))
    scalars = train(hook, 3, model=model, step=step).scalars
    assert set(scalars) == {
        "surrogate/mIoU",
        *(f"counts/mIoU/{n}/{c}" for n in ("target", "intersection", "union") for c in CLASSES),
    }
    assert all(list(values) == [1, 2] for values in scalars.values())
    for name in ("target", "intersection", "union"):
        found = [scalars[f"counts/mIoU/{name}/{label}"][1] for label in CLASSES]
        assert found == pytest.approx([6, 5, 0], abs=1e-4)
    assert scalars["surrogate/mIoU"][1] == pytest.approx(1, abs=1e-5)


def test_a_boundary_metric_has_its_own_counts(train, make_model, step):
    model = make_model(AutoSegLoss(spec("BF1")))
    scalars = train(LossCounts(1, CLASSES), 1, model=model, step=step).scalars
    kinds = ("target", "matched_target", "prediction", "matched_prediction")
    assert set(scalars) == {
        "surrogate/BF1",
        *(f"counts/BF1/{kind}/{label}" for kind in kinds for label in CLASSES),
    }
    assert scalars["counts/BF1/target/sky"][0] > 0


def test_the_loss_and_its_gradient_stay_as_they_are(train, make_model):
    loss, logits = load_loss("voc-miou-bezier"), torch.randn(1, 3, 3, 4)
    results = []

    def step(loop):
        x = logits.clone().requires_grad_()
        value = loop.model.sem_seg_head.loss(x, TARGET)
        value.backward()
        results.append((value.detach(), x.grad))

    train(LossCounts(2, CLASSES), 2, model=make_model(loss), step=step)  # looks at the second
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)


def test_other_losses_and_a_period_of_0_have_no_counts(train, make_model, step):
    other = make_model(torch.nn.CrossEntropyLoss(ignore_index=255))
    assert train(LossCounts(1, CLASSES), 2, model=other, step=step).scalars == {}
    off = make_model(AutoSegLoss(spec("mIoU")))
    assert train(LossCounts(0, CLASSES), 2, model=off, step=step).scalars == {}
