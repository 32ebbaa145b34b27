"""Small made data that several tests share: label maps, logits and losses.

N: images; C: classes; H, W: pixels. Every function draws from the generator it is given.
"""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autoseg_core import AutoSegLoss, LossSpec, LossTerm, SearchSpace
from autoseg_core.scores import METRICS, PAPER_METRICS
from autoseg_core.surfaces import SURFACES
from autoseg_core.targets import Target

VOID = 255
# Every metric that ships, for five classes; and every surrogate.
SHIPPED = (
    *METRICS,
    "Fbeta(beta=2)",
    "Tversky(alpha=0.3,beta=0.7)",
    "Tversky(alpha=0,beta=1)",
    "IoU(classes=[1,3])",
    "wIoU(weights=[1,2,0.5,0,3])",
    "wAcc(weights=[1,2,0.5,0,3])",
    "wDice(weights=[1,2,0.5,0,3])",
    "wBF1(weights=[1,2,0.5,0,3])",
    "BoundaryIoU(radius=2)",
    "BoundaryIoU(diagonal=0.05,border=0)",
)
SURROGATES = (*SHIPPED, "BF1_difference")
# One for each way of counting, with a surface.
COUNTED = [
    *[("mIoU", "bezier"), ("mAcc", "linear"), ("mSpecificity", "bezier"), ("BIoU", "linear")],
    *[("BF1", "bezier"), ("BF1_difference", "linear"), ("BoundaryIoU(radius=2)", "bezier")],
    ("BoundaryIoU(diagonal=0.05,border=0)", "linear"),
]
# Control points at the walls of the search space, and beyond.
EXTREME: dict[str, list[tuple[float, float]]] = {
    "vertical at 0": [(0, 0), (0, 1), (1, 1)],
    "vertical at 1": [(0, 0), (1, 0), (1, 1)],
    "vertical at both": [(0, 0), (0, 0.6), (0.5, 0.7), (1, 0.8), (1, 1)],
    "no width at 0": [(0, 0), (0, 0.3), (0, 0.5), (0.5, 0.6), (1, 1)],
    "no width at 1": [(0, 0), (0.3, 0.3), (1, 0.5), (1, 0.6), (1, 1)],
    "jump": [(0, 0), (0.2, 0.1), (0.4, 0.3), (0.4, 0.5), (0.4, 0.7), (0.8, 0.9), (1, 1)],
    "narrow at 0": [(0, 0), (3e-7, 0.4), (1e-6, 0.5), (0.5, 0.6), (1, 1)],
    "free ends, falling": [(0, 0.2), (0.3, 0.9), (0.4, 0.5), (0.9, 0.1), (1, 0.7)],
}
TERMS = [(metric, surface) for metric in PAPER_METRICS for surface in SURFACES]


# Every surrogate, with one of the surfaces.
EACH = list(zip(SURROGATES, cycle(SURFACES), strict=False))


def label_maps(
    rng: np.random.Generator, classes: int, shape: tuple[int, int, int] = (2, 14, 18)
) -> np.ndarray[Any, Any]:
    """Blocks of 3x3 pixels with some noise: areas, thin parts and lone pixels; (N, H, W) int64."""
    images, height, width = shape
    blocks = rng.integers(classes, size=(images, -(-height // 3), -(-width // 3)))
    labels = blocks.repeat(3, axis=1).repeat(3, axis=2)[:, :height, :width]
    noise = rng.random(shape) < 0.05
    return np.where(noise, rng.integers(classes, size=shape), labels)


def with_void(
    rng: np.random.Generator, labels: np.ndarray[Any, Any], value: int = VOID
) -> np.ndarray[Any, Any]:
    """The labels with about a fifth of their pixels void, in patches and alone."""
    patches = label_maps(rng, 5, (labels.shape[0], *labels.shape[1:])) == 0
    return np.where(patches, value, labels)


def images(
    seed: int, classes: int = 5, present: int = 4, shape: tuple[int, int, int] = (2, 14, 18)
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A prediction of all classes, and a target of the first ``present`` with void; (N, H, W)."""
    rng = np.random.default_rng(seed)
    target = label_maps(rng, present, shape)
    prediction = np.where(rng.random(shape) < 0.7, target, label_maps(rng, classes, shape))
    return prediction, with_void(rng, target)


def batch(seed: int, classes: int = 5, present: int = 4) -> tuple[Tensor, Tensor]:
    """Float64 logits (2, C, 14, 18), and a target of the first ``present`` classes and void."""
    rng = np.random.default_rng(seed)
    target = with_void(rng, label_maps(rng, present))
    logits = rng.normal(scale=2, size=(2, classes, 14, 18))
    return torch.from_numpy(logits), torch.from_numpy(target)


def sure_logits(labels: np.ndarray[Any, Any], classes: int) -> Tensor:
    """Float32 logits of ±1e4: their softmax is exactly 0 or 1. Void counts as class 0."""
    inside = torch.from_numpy(np.where(labels < classes, labels, 0))
    one_hot = torch.nn.functional.one_hot(inside, classes).movedim(-1, 1)
    return one_hot.float() * 2e4 - 1e4


def term(metric: str, surface: str = "bezier", seed: int = 0, **settings: Any) -> LossTerm:
    """A term with random control points."""
    space = SearchSpace(metric, surface)
    theta = np.random.default_rng(seed).uniform(0.02, 0.98, space.dim)
    return term_at(space, theta, **settings)


def term_at(space: SearchSpace, theta: Any, **settings: Any) -> LossTerm:
    """The term at coordinates of a space of one target."""
    (term,) = LossSpec.from_theta("sample", space, theta, **settings).terms
    return term


def extreme_term(metric: str, surface: str, name: str) -> LossTerm:
    """A term with one of the ``EXTREME`` curves in place of each of its own."""
    usual, curve = term(metric), tuple(EXTREME[name])
    return LossTerm(
        metric=usual.metric,
        surrogate=usual.surrogate,
        surface=surface,
        pieces=(len(curve) - 1) // (2 if surface == "bezier" else 1),
        control_points=(curve,) * len(usual.curves),
        truth_table=False,
        monotone=False,
    )


def scored(surrogate: str) -> str:
    """The metric of a surrogate."""
    return Target.named(surrogate).metric


def loss_of(*terms: LossTerm, **options: Any) -> AutoSegLoss:
    return AutoSegLoss(LossSpec(name="sample", terms=terms), **options)


def value_and_gradient(loss: AutoSegLoss, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The loss, and its gradient in the logits."""
    logits = logits.clone().requires_grad_()
    value = loss(logits, target)
    (gradient,) = torch.autograd.grad(value, logits)
    return value.detach(), gradient
