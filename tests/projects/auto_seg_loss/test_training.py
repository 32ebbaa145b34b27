"""training.py: a training led in steps is the uncut training, and goes on from a saved state."""

from __future__ import annotations

import io
import math
import random

import numpy as np
import pytest
import torch
from checkpoints import equal, weights_of
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image
from torch import nn

from auto_seg_loss.data.catalog import register, unregister


def theta(number: int) -> np.ndarray:
    return np.random.default_rng(number).uniform(0.05, 0.95, 12)


def disturb() -> None:
    """What an agent, or another training, may do between two steps."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    torch.rand(10)


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("SOLVER.LR_SCHEDULER_NAME", "WarmupMultiStepLR", "SOLVER.STEPS", "(3, 5)"),
        ("DATALOADER.NUM_WORKERS", 2, "INPUT.CACHE", False),
        ("SOLVER.ACCUMULATE", 2, "SOLVER.IMS_PER_BATCH", 2, "SOLVER.AMP.ENABLED", True),
    ],
    ids=lambda options: options[0] if options else "",
)
def test_equal_steps_of_one_theta_end_where_evaluate_does(make_proxy, options):
    proxy = make_proxy(*options)
    whole = proxy.evaluate(theta(0), seed=5)
    training = proxy.training()
    training.start(5)
    for _ in range(3):
        disturb()
        step = training.advance(theta(0), 1 / 3)
    assert step.result == whole
    assert equal(weights_of(training.model), weights_of(proxy.model))


def test_the_loss_of_each_step_is_that_of_its_theta(make_proxy):
    """A change of theta changes what follows it, and nothing before."""
    ends = []
    for second in (1, 2):
        training = make_proxy().training()
        training.start(5)
        first = training.advance(theta(0), 0.5)
        last = training.advance(theta(second), 0.5)
        ends.append((first, last, weights_of(training.model)))
    (first, last, trained), (other_first, other_last, other_trained) = ends
    assert first == other_first and math.isfinite(first.loss)
    assert last.loss != other_last.loss and not equal(trained, other_trained)


def test_the_reported_loss_is_the_mean_over_the_step(make_proxy, train_with):
    values = iter([3.0, 1.0, 8.0, 9.0, 1.0, 2.0])

    class Told(nn.Module):
        def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            return 0 * logits.sum() + next(values)

    training = make_proxy().training()
    training.start(5)
    with train_with(Told()):
        losses = [training.advance(theta(0), share).loss for share in (1 / 3, 1 / 6, 1 / 2)]
    assert losses == pytest.approx([2.0, 8.0, 4.0])


def test_a_training_that_blew_up_stays_failed_until_the_next_start(
    make_proxy, train_with, nan_loss
):
    training = make_proxy().training()
    training.start(5)
    good = training.advance(theta(0), 0.5)
    with train_with(nan_loss):
        step = training.advance(theta(0), 0.2)
    assert step.result.status == "failed" and "iteration=3" in step.result.reason
    assert math.isnan(step.loss)
    assert training.advance(theta(0), 0.3).result == step.result
    training.start(5)
    assert training.advance(theta(0), 0.5) == good


def through_a_file(state: dict) -> dict:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_a_saved_training_goes_on_bit_for_bit(make_proxy):
    options = ("SOLVER.ACCUMULATE", 2, "SOLVER.IMS_PER_BATCH", 2)
    training = make_proxy(*options).training()
    training.start(5)
    training.advance(theta(0), 1 / 3)
    state = training.state_dict()
    expected = [training.advance(theta(i), 1 / 3) for i in (1, 2)]
    disturb()
    fresh = make_proxy(*options).training()
    fresh.load_state_dict(through_a_file(state))
    assert [fresh.advance(theta(i), 1 / 3) for i in (1, 2)] == expected
    assert equal(weights_of(fresh.model), weights_of(training.model))


def test_a_holdout_is_scored_with_its_own_void_label(make_proxy, tmp_path):
    val = "shapes_sem_seg_val"
    pairs, metadata = DatasetCatalog.get(val), MetadataCatalog.get(val)
    for pair in pairs:
        label = np.array(Image.open(pair["sem_seg_file_name"]))
        pair["sem_seg_file_name"] = str(tmp_path / f"{pair['image_id']}.png")
        Image.fromarray(np.where(label == 255, 0, label)).save(pair["sem_seg_file_name"])
    kept = {"classes": metadata.stuff_classes, "colours": metadata.stuff_colors}
    register("void_sem_seg_val", lambda: pairs, **kept, ignore_label=0)
    scores = []
    for name, crop in ((val, 0), ("void_sem_seg_val", 0), ("void_sem_seg_val", 64)):
        proxy = make_proxy("SEARCH.HOLDOUT.DATASETS", (name,), "SEARCH.HOLDOUT.CROP", crop)
        scores.append(proxy.result(proxy.model).scores)
    unregister("void_sem_seg_val")
    assert scores[0] != scores[1] == scores[2]  # the crop is the whole image
