"""Built-in metrics: the paper's six, other common ones, and families with parameters."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from autoseg_core.numerics import whole_number
from autoseg_core.scores import ratios
from autoseg_core.scores.grammar import canonical_name
from autoseg_core.scores.metric import BoundaryBand, Metric
from autoseg_core.scores.registry import METRICS, register_family, register_metric

PAPER_METRICS = ("mIoU", "FWIoU", "mAcc", "gAcc", "BIoU", "BF1")
"""The metrics of the paper (ASL, arXiv 2010.07930), which are scored by default."""

WEIGHTED = {"wIoU": "mIoU", "wAcc": "mAcc", "wDice": "Dice", "wBF1": "BF1"}
"""Families with a weight for each class -> the metrics whose classes they weight."""

DIAGONAL = 0.02
"""Width of the band of Boundary IoU as a share of the image diagonal, as published."""


LARGEST = 10**6
"""Largest value of a parameter; anything larger is a mistake."""


def tversky(alpha: float, beta: float) -> Metric:
    """Mean Tversky index: false positives count alpha, false negatives beta, both >= 0."""
    alpha, beta = _number("alpha", alpha), _number("beta", beta)
    if alpha + beta == 0:
        raise ValueError("alpha or beta must be above 0, or nothing counts as an error.")
    index = partial(ratios.tversky, alpha=alpha, beta=beta)
    reads = ("intersection", "union") if alpha else ("intersection",)
    return Metric(canonical_name("Tversky", alpha=alpha, beta=beta), index, reads=reads)


def f_beta(beta: float) -> Metric:
    """Mean F-beta: recall counts beta times as much as precision; beta > 0."""
    beta = _number("beta", beta)
    if beta == 0:
        raise ValueError("beta must be above 0; with 0 it would be mPrecision.")
    return Metric(canonical_name("Fbeta", beta=beta), partial(ratios.f_beta, beta=beta))


def iou_of(classes: list[int]) -> Metric:
    """Mean IoU of chosen classes, given by index."""
    if not isinstance(classes, list) or not classes:
        raise ValueError(f"classes must be a list of one or more indices, got {classes!r}.")
    chosen = [whole_number("classes", index, least=0) for index in classes]
    if len(set(chosen)) != len(chosen):
        raise ValueError(f"classes must differ, got {chosen}.")
    name = canonical_name("IoU", classes=sorted(chosen))
    return Metric(name, ratios.iou, column="IoU", classes=tuple(sorted(chosen)))


def _weighted(family: str, of: str, weights: list[float]) -> Metric:
    """Mean of a metric's classes, each with its weight >= 0; those of weight 0 are left out."""
    if not isinstance(weights, list):
        raise ValueError(f"weights must be a list with one number per class, got {weights!r}.")
    given = tuple(_number("weights", weight) for weight in weights)
    classes = tuple(index for index, weight in enumerate(given) if weight > 0)
    if not classes:
        raise ValueError(f"at least one weight must be above 0, got {weights}.")
    mean = METRICS[of]
    assert mean.per_class is not None
    score = partial(ratios.weighted_mean_of, mean.per_class, given)
    name = canonical_name(family, weights=given)
    return replace(mean, name=name, score=score, classes=classes)


def boundary_iou(
    radius: int | None = None, diagonal: float | None = None, border: int = 1
) -> Metric:
    """Mean IoU of the classes' inner bands, ``radius`` pixels or ``diagonal`` of the image wide.

    border: 1, the image border is an edge, as published; 0, it is not.
    """
    if border not in (0, 1):
        raise ValueError(f"border must be 1 (the image border is an edge) or 0, got {border!r}.")
    option = {} if border else {"border": 0}
    if radius is not None and diagonal is not None:
        raise ValueError("give radius (pixels) or diagonal (share of the image's), not both.")
    if radius is not None:
        pixels = whole_number("radius", radius, least=1)
        band = BoundaryBand(radius=pixels, border=bool(border))
        name = canonical_name("BoundaryIoU", radius=pixels, **option)
    else:
        share = _number("diagonal", DIAGONAL if diagonal is None else diagonal)
        if not 0 < share < 1:
            raise ValueError(f"diagonal must be a share, in (0, 1), of the image's, got {share:g}.")
        band = BoundaryBand(diagonal=share, border=bool(border))
        name = canonical_name("BoundaryIoU", diagonal=share, **option)
    return Metric(name, ratios.iou, region=band)


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name}: expected a number, got {value!r}.")
    if not 0 <= value <= LARGEST:
        raise ValueError(f"{name} must lie in [0, {LARGEST}], got {value}.")
    return float(value)


_PAPER = (
    Metric("mIoU", ratios.iou, column="IoU"),
    Metric("FWIoU", ratios.iou, ratios.frequency_weighted_iou, column="IoU"),
    Metric(
        "mAcc", ratios.recall, column="Acc", defined=ratios.target_seen, reads=("intersection",)
    ),
    Metric(
        "gAcc",
        ratios.recall,
        ratios.global_accuracy,
        column="Acc",
        defined=ratios.target_seen,
        reads=("intersection",),
    ),
    Metric("BIoU", ratios.iou, region="trimap"),
    # Of soft counts with the released four free curves: edges may be negative, and a class whose
    # predicted edges do not sum to more than 0 scores 0 without a gradient.
    Metric("BF1", ratios.boundary_f1, region="boundary"),
)
_DAILY = (
    Metric("Dice", ratios.dice),
    Metric("mPrecision", ratios.precision, column="Precision", defined=ratios.prediction_seen),
    Metric(
        "mSpecificity",
        ratios.specificity,
        column="Specificity",
        defined=ratios.others_seen,
        reads=("union",),
    ),
    Metric("worstIoU", ratios.iou, ratios.worst_iou, column="IoU"),
)
for _metric in (*_PAPER, *_DAILY):
    register_metric(_metric)
register_family("Fbeta", f_beta)
register_family("Tversky", tversky)
register_family("IoU", iou_of)
for _family, _of in WEIGHTED.items():
    register_family(_family, partial(_weighted, _family, _of))
register_family("BoundaryIoU", boundary_iou)
