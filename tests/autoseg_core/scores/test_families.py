"""Metrics with parameters: spelling, names are data."""

from __future__ import annotations

import pytest
import torch

from autoseg_core.counts import RegionCounts
from autoseg_core.scores import FAMILIES, Metric, canonical_name, get_metric, register_family
from autoseg_core.scores.ratios import iou
from autoseg_core.scores.registry import Maker


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("MIOU", "mIoU"),
        ("fbeta(beta=2)", "Fbeta(beta=2)"),
        (" Fbeta ( beta = 2.0 ) ", "Fbeta(beta=2)"),
        ("Fbeta(beta=5e-1)", "Fbeta(beta=0.5)"),
        ("Tversky(beta=0.7,alpha=0.3)", "Tversky(alpha=0.3,beta=0.7)"),
        ("IoU(classes=[3, 1])", "IoU(classes=[1,3])"),
        ("wIoU(weights=[1,2.50,0])", "wIoU(weights=[1,2.5,0])"),
        ("wBF1(weights=[1, 2])", "wBF1(weights=[1,2])"),
        ("BoundaryIoU", "BoundaryIoU(diagonal=0.02)"),
        ("BoundaryIoU(radius=3,border=1)", "BoundaryIoU(radius=3)"),
        ("BoundaryIoU(border=0)", "BoundaryIoU(diagonal=0.02,border=0)"),
    ],
)
def test_one_canonical_spelling_and_one_row(spelling: str, name: str) -> None:
    metric = get_metric(spelling)
    assert metric.name == name
    assert get_metric(name) is metric
    assert get_metric(spelling) is metric


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').getcwd()",
        "Fbeta(beta=__import__('os'))",
        "Fbeta(beta=" + "[" * 10_000 + "])",
        "Fbeta(beta=2)\0",
        "Fbeta" * 10_000,
    ],
)
def test_a_name_is_never_executed(text: str) -> None:
    with pytest.raises(ValueError, match=r"[Mm]etric") as caught:
        get_metric(text)
    assert len(str(caught.value)) < 1000


def _power(exponent: float) -> Maker:
    def make(times: int) -> Metric:
        name = canonical_name("Power", times=times)
        return Metric(name, lambda counts: iou(counts) ** (exponent * times))

    return make


def test_a_family_can_be_registered_again_and_replaced() -> None:
    half = RegionCounts(*(torch.tensor([n]) for n in (4.0, 2.0, 4.0, 8.0)))
    for _ in range(2):  # as a cell of a notebook that is run again
        register_family("Power", _power(1.0))
    value = get_metric("Power(times=2)").per_class(half).item()
    with pytest.raises(ValueError, match="Power"):
        register_family("Power", _power(2.0))
    del FAMILIES["Power"]
    with pytest.raises(ValueError, match="Unknown metric"):
        get_metric("Power(times=2)")
    register_family("Power", _power(2.0))
    assert get_metric("Power(times=2)").per_class(half).item() == value**2 < value
    del FAMILIES["Power"]
