"""Parity with the released code: its rules, and numbers it gave, frozen with their source.

N: images; C: classes; H, W: pixels. Numbers are those of runs of the released code and of the
paper. ``zoo/test_zoo.py`` compares the published vectors with a slow twin of its rules,
``metrics/test_evaluator.py`` the released evaluator.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import samples
import torch
from torch import Tensor

from autoseg_core import AutoSegLoss, SegmentationScores, load_spec
from autoseg_core.surrogates.batch import Batch
from autoseg_core.surrogates.counting import soft_counts

LOOK_AT_EDGES = ("BIoU", "BF1", "BF1_difference", "BoundaryIoU(radius=2)")


def disc() -> tuple[Tensor, Tensor]:
    """A disc of diameter 40 ringed by 5 pixels of void, predicted with a probability of 0.6.

    Float32 logits (1, 21, 80, 80), whose other 20 classes share 0.4, and the target; the
    prediction fills the ring with the disc's class.
    """
    y, x = np.mgrid[:80, :80] - 40
    distance = np.hypot(y, x)
    target = np.where(distance < 20, 1, np.where(distance < 25, samples.VOID, 0))[None]
    guess = torch.nn.functional.one_hot(torch.from_numpy((distance < 25).astype(int)), 21)
    return guess.permute(2, 0, 1)[None].float() * math.log(30), torch.from_numpy(target)


@pytest.mark.parametrize("backend", ["reference", "auto"])
@pytest.mark.parametrize(
    ("name", "released"), [("voc-biou-bezier", 0.913), ("voc-bf1-bezier", 0.486)]
)
def test_borders_of_void_are_edges_of_the_published_losses(
    name: str, released: float, backend: Any
) -> None:
    """0.913 and 0.486: the released losses of such a disc. Without these edges both are 0."""
    logits, target = disc()
    spec = load_spec(name)
    value, gradient = samples.value_and_gradient(AutoSegLoss(spec, backend=backend), logits, target)
    assert float(value) == pytest.approx(released, abs=5e-4)
    assert bool(gradient.any())
    (term,) = spec.terms
    without = samples.loss_of(term.model_copy(update={"void_edges": False}))
    value, gradient = samples.value_and_gradient(without, logits, target)
    assert (float(value), bool(gradient.any())) == (0, False)


@pytest.mark.parametrize("metric", LOOK_AT_EDGES)
@pytest.mark.parametrize(("void_edges", "protocol"), [(True, "paper"), (False, "strict")])
def test_at_one_hot_predictions_void_is_what_it_is_to_the_evaluator(
    metric: str, void_edges: bool, protocol: Any, ignore_index: int = -100
) -> None:
    rng = np.random.default_rng(0)
    target = samples.with_void(rng, samples.label_maps(rng, 4), ignore_index)
    guess = samples.label_maps(rng, 5)
    settings: dict[str, Any] = {"tolerance": 2, "drop_background": metric == "BIoU"}
    scores = SegmentationScores(
        5, ignore_index, protocol=protocol, metrics=[samples.scored(metric)], **settings
    )
    scores.update(guess, target)
    term = samples.term(metric, void_edges=void_edges, **settings)
    batch = Batch(samples.sure_logits(guess, 5), torch.from_numpy(target), ignore_index)
    counts = soft_counts(term, torch.tensor(term.control_points), batch)
    (exact,) = scores.counts.values()
    for soft, integers in zip(counts.tensors(), exact.tensors(), strict=True):
        torch.testing.assert_close(soft.long(), integers, rtol=0, atol=0)
