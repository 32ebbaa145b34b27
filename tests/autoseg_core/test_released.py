"""Parity with the released code: its rules, and numbers it gave, frozen with their source.

N: images; C: classes; H, W: pixels. Numbers are those of runs of the released code and of the
paper; ``references`` has its rules as a slow twin. ``zoo/test_zoo.py`` tests the published vectors,
``metrics/test_evaluator_protocols.py`` the released evaluator.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import references
import samples
import torch
from torch import Tensor

from autoseg_core import (
    AutoSegLoss,
    SegmentationScores,
    load_spec,
)
from autoseg_core.surrogates.batch import Batch
from autoseg_core.surrogates.counting import soft_counts

EDGES = ("voc-biou-bezier", "voc-bf1-bezier")
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


@pytest.mark.parametrize(
    ("name", "released", "backend"),
    [
        ("voc-biou-bezier", 0.913, "reference"),
        ("voc-biou-bezier", 0.913, "auto"),
        ("voc-bf1-bezier", 0.486, "reference"),
        ("voc-bf1-bezier", 0.486, "auto"),
    ],
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


@pytest.mark.parametrize("name", EDGES)
@pytest.mark.parametrize("backend", ["reference", "auto"])
def test_losses_with_void_are_those_of_the_released_rules(
    name: str, backend: Any, seed: int = 0
) -> None:
    """Value, and gradient along random directions, by central differences of the slow twin."""
    logits, target = samples.batch(seed)
    spec = load_spec(name)
    term = spec.terms[0].model_dump()
    value, gradient = samples.value_and_gradient(AutoSegLoss(spec, backend=backend), logits, target)
    assert float(value) == pytest.approx(references.surrogate_loss(term, logits, target), rel=1e-9)
    step = 1e-6  # the published curves bend sharply
    for way in torch.from_numpy(np.random.default_rng(seed).normal(size=(3, *logits.shape))):
        above, below = (
            references.surrogate_loss(term, logits + sign * step * way, target) for sign in (1, -1)
        )
        expected = (above - below) / (2 * step)
        assert float((gradient * way).sum()) == pytest.approx(expected, rel=1e-6, abs=1e-9)


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
    points = torch.tensor(term.control_points)
    logits = samples.sure_logits(guess, 5)
    batch = Batch(logits, torch.from_numpy(target), ignore_index)
    counts = soft_counts(term, points, batch)
    (exact,) = scores.counts.values()
    for soft, integers in zip(counts.tensors(), exact.tensors(), strict=True):
        torch.testing.assert_close(soft.long(), integers, rtol=0, atol=0)
