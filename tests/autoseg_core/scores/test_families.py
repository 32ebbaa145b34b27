"""Metrics with parameters: spelling, and one clear message for everything that can be wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from autoseg_core.scores import FAMILIES, Metric, get_metric, register_family, spell
from autoseg_core.scores.ratios import iou


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("Fbeta(beta=2)", "Fbeta(beta=2)"),
        (" Fbeta ( beta = 2.0 ) ", "Fbeta(beta=2)"),
        ("Fbeta(beta=5e-1)", "Fbeta(beta=0.5)"),
        ("Fbeta(beta=0.1,)", "Fbeta(beta=0.1)"),
        ("Tversky(beta=0.7,alpha=0.3)", "Tversky(alpha=0.3,beta=0.7)"),
        ("IoU(classes=[3, 1])", "IoU(classes=[1,3])"),
        ("wIoU(weights=[1,2.50,0])", "wIoU(weights=[1,2.5,0])"),
        ("wAcc(weights=[1, 2])", "wAcc(weights=[1,2])"),
        ("wDice(weights=[1, 2])", "wDice(weights=[1,2])"),
        ("wBF1(weights=[1, 2])", "wBF1(weights=[1,2])"),
        ("BoundaryIoU", "BoundaryIoU(diagonal=0.02)"),
        ("BoundaryIoU()", "BoundaryIoU(diagonal=0.02)"),
        ("BoundaryIoU(radius=3,border=1)", "BoundaryIoU(radius=3)"),
        ("BoundaryIoU(border=0)", "BoundaryIoU(diagonal=0.02,border=0)"),
        ("BoundaryIoU(diagonal=0.010)", "BoundaryIoU(diagonal=0.01)"),
    ],
)
def test_one_canonical_spelling_and_one_row(spelling: str, name: str) -> None:
    metric = get_metric(spelling)
    assert metric.name == name
    assert get_metric(name) is metric
    assert get_metric(spelling) is metric


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Foo(beta=2)", r"Unknown metric .*known metrics: mIoU, .*Fbeta\(beta\), Tversky\(alpha, "),
        ("fbeta(beta=2)", "Unknown metric"),
        ("", "Unknown metric ''"),
        ("mIoU()", "Unknown metric"),
        ("mIoU(classes=[1])", "Unknown metric"),
        ("Fbeta(beta=2)(beta=2)", "Unknown metric"),
        ("Fbeta((beta=2))", "Unknown metric"),
        ("mIoU+BIoU", "Unknown metric"),
        ("IoU", r"Unknown metric 'IoU'; known metrics: mIoU, FWIoU, .*IoU\(classes\)"),
        ("Fbeta()", r"expected the parameters Fbeta\(beta\); missing: beta"),
        ("Tversky(alpha=1)", r"expected the parameters Tversky\(alpha, beta\); missing: beta"),
        ("Fbeta(beta=2,b=1)", "unknown: b"),
        ("Fbeta(beta=2,beta=2)", "the parameter beta is given twice"),
        ("Fbeta(2)", "expected name=value pairs separated by commas, got '2'"),
        ("Fbeta(beta=2 3)", "expected name=value pairs"),
        ("Fbeta(,)", "expected name=value pairs"),
        ("Fbeta(beta=two)", r"expected a number or a list of numbers such as \[1,2\], got 'two'"),
        ('Fbeta(beta="2")', "beta: expected a number, got '2'"),
        ("Fbeta(beta=[2])", r"beta: expected a number, got \[2\]"),
        ("Fbeta(beta=true)", "beta: expected a number, got True"),
        ("Fbeta(beta=null)", "beta: expected a number, got None"),
        ("Fbeta(beta=0)", "beta must be above 0"),
        ("Fbeta(beta=-1)", r"beta must lie in \[0, 1000000\], got -1"),
        ("Fbeta(beta=NaN)", "beta must lie in .* got nan"),
        ("Fbeta(beta=1e999)", "beta must lie in .* got inf"),
        (f"Fbeta(beta=1{'0' * 400})", "beta must lie in"),
        (f"Fbeta(beta=1{'0' * 5000})", "expected a number"),
        ("Tversky(alpha=0,beta=0)", "one of alpha and beta must be above 0"),
        ("IoU(classes=3)", "classes must be a list of one or more indices, got 3"),
        ("IoU(classes=[])", "classes must be a list of one or more indices"),
        ("IoU(classes=[1,1])", r"classes must differ, got \[1, 1\]"),
        ("IoU(classes=[-1])", "expected whole numbers from 0 on, got -1"),
        ("IoU(classes=[1.5])", "expected whole numbers from 0 on, got 1.5"),
        ("wIoU(weights=2)", "weights must be a list with a number for each class, got 2"),
        ("wIoU(weights=[0,0])", r"one of the weights must be above 0, got \[0, 0\]"),
        ("wIoU(weights=[1,-1])", "weights must lie in"),
        ("BoundaryIoU(radius=1,diagonal=0.1)", "give radius .* or diagonal .* not both"),
        ("BoundaryIoU(border=2)", "border is 1 .* or 0, got 2"),
        ("BoundaryIoU(radius=0)", "radius: expected whole numbers from 1 on, got 0"),
        ("BoundaryIoU(radius=1.5)", "radius: expected whole numbers from 1 on, got 1.5"),
        ("BoundaryIoU(diagonal=1)", r"diagonal is a share of the image's, in \(0, 1\), got 1"),
        ("BoundaryIoU(diagonal=0)", r"diagonal is a share of the image's, in \(0, 1\), got 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        get_metric(name)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').getcwd()",
        "Fbeta(beta=__import__('os'))",
        "Fbeta(beta=1+1)",
        "Fbeta(beta=[i for i in x])",
        "Fbeta(beta=" + "[" * 10_000 + "])",
        "Fbeta(beta=2)\0",
        "Fbeta" * 10_000,
    ],
)
def test_a_name_is_never_executed(text: str) -> None:
    with pytest.raises(ValueError, match=r"[Mm]etric") as caught:
        get_metric(text)
    assert len(str(caught.value)) < 1000


def test_names_are_known_in_a_fresh_process() -> None:
    code = "from autoseg_core import get_metric; print(get_metric('Fbeta(beta=2.0)').name)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "Fbeta(beta=2)\n"


@pytest.fixture
def own_family() -> Iterator[None]:
    def power(exponent: int) -> Metric:
        return Metric(spell("Power", exponent=exponent), lambda counts: iou(counts) ** exponent)

    register_family("Power", power)
    yield
    del FAMILIES["Power"]


def test_a_family_can_be_registered(own_family: None) -> None:
    assert get_metric("Power(exponent=3)").name == "Power(exponent=3)"
    with pytest.raises(ValueError, match="'Power' is taken"):
        register_family("Power", lambda: None)  # type: ignore[arg-type, return-value]
