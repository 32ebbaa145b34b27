"""What users get wrong, the exception, and the word that its message must hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import samples
import torch

from autoseg_core import (
    METRICS,
    AutoSegLoss,
    LossSpec,
    Metric,
    Objective,
    SearchSpace,
    SegmentationScores,
    SpecError,
    get_metric,
    gradient_scale,
    load_loss,
    plot,
    register_metric,
    soft_loss,
)
from autoseg_core.counts import RegionCounts
from autoseg_core.scores import present_classes
from autoseg_core.scores.ratios import iou, recall
from autoseg_core.surfaces.operations import operations_of
from autoseg_core.zoo import __main__ as zoo

Call = Callable[[], Any]


def refuses(call: Call, kind: type[Exception], key: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert key in str(caught.value)
    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize(
    ("read", "text", "key"),
    [
        (get_metric, "IoU2", "mIoU, FWIoU, mAcc"),
        (get_metric, "mIoU+BIoU", "expected a name"),
        (get_metric, "Fbeta(2)", "Fbeta(beta=2)"),
        (get_metric, "iou", "Without parameters: mIoU"),
        (get_metric, "Fbeta(beta=2,beta=2)", "twice"),
        (get_metric, "Fbeta(beta=1e999)", "beta must lie in"),
        (get_metric, "IoU(classes=3)", "classes must be a list"),
        (get_metric, "wIoU(weights=[0,0])", "weights"),
        (get_metric, "BoundaryIoU(radius=1,diagonal=0.1)", "not both"),
        (Objective.parse, "", "''"),
        (Objective.parse, "3", "expected a metric, got 3"),
        (Objective.parse, "mIoU*BF1+mAcc", "mixes sums and products"),
        (Objective.parse, "Fbeta(beta=2)*Fbeta(beta=2.0)", "twice"),
        (Objective.parse, "Foo+mIoU", "Unknown metric 'Foo'"),
    ],
)
def test_metrics_and_objectives(read: Callable[[str], Any], text: str, key: str) -> None:
    refuses(partial(read, text), ValueError, key)


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: Metric("Mine"), "per_class or score"),
        (lambda: Metric("mIoU", iou), "METRICS.pop('mIoU')"),
        (lambda: Metric("Mine", lambda c: 2 * recall(c)), "in [0, 1]"),
        (lambda: Metric("Mine", score=lambda c, seen: c.target.sum() / 0 * 0), "in [0, 1]"),
        (lambda: Metric("a+b", iou), "must be a word"),
        (lambda: Metric("Mine", iou, region="borders"), "'borders'"),  # type: ignore[arg-type]
        (lambda: Metric("Mine", recall, column="IoU"), "'IoU'"),
        (lambda: Metric("Mine", lambda c: c.union.sum()), "per_class"),
        (lambda: Metric("Mine", lambda c: c.intersection / c.union), "safe_divide"),
        (lambda: Metric("Mine", lambda c: iou(c) * torch.ones(19)), "classes=tuple(range(C))"),
    ],
)
def test_metrics_that_are_registered(make: Callable[[], Metric], key: str) -> None:
    before = list(METRICS)
    refuses(lambda: register_metric(make()), ValueError, key)
    assert list(METRICS) == before


SPEC = LossSpec.of_terms("both", samples.term("mIoU", weight=0.1), samples.term("BF1", "linear"))
CURVE = [[0.0, 0.0], [0.2, 0.2], [0.4, 0.4], [0.6, 0.6], [1.0, 1.0]]


def changed(path: str, value: Any) -> str:
    """The JSON of ``SPEC`` with the entry at a dotted path replaced or added."""
    data = json.loads(SPEC.to_json())
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    entry = data
    for parent in parents:
        entry = entry[parent]
    entry[last] = value
    return json.dumps(data)


def curve(index: int, point: list[float]) -> list[list[float]]:
    return [point if i == index else list(p) for i, p in enumerate(CURVE)]


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        ("terms.0.absnt", 0, "terms.0.absnt: "),
        ("terms.0.metric", "dise", "Unknown metric 'dise'"),
        ("terms.0.surrogate", "difference", "mIoU has only the form 'free'"),
        ("terms.0.pieces", 3, "Curve 'and': expected 7"),
        ("scale", float("inf"), "scale: "),
        ("combine", "product", "set every weight to 1"),
        ("terms.0.control_points", [CURVE], "2 curves (and, or), got 1"),
        ("terms.0.control_points.0", curve(2, [0.1, 0.4]), "u must not decrease"),
        ("terms.0.control_points.0", curve(2, [0.4, 0.1]), "monotone to false"),
        ("terms.0.control_points.1", curve(4, [1.0, 0.9]), "truth_table to false"),
        ("format", 2, "upgrade"),
    ],
)
def test_loss_files(path: str, value: Any, key: str) -> None:
    with pytest.raises(SpecError) as caught:
        LossSpec.from_json(changed(path, value), origin="my.json")
    assert str(caught.value).startswith("my.json ")
    assert key in str(caught.value)


LOGITS, TARGET = torch.zeros(2, 3, 4, 5), torch.zeros(2, 4, 5, dtype=torch.int64)
MIOU, EDGES = soft_loss("mIoU"), soft_loss("BoundaryIoU(radius=2)")


@pytest.mark.parametrize(
    ("loss", "logits", "target", "key"),
    [
        (MIOU, LOGITS.long(), TARGET, "torch.int64"),
        (MIOU, LOGITS, TARGET + 3, "0..2, such as 3; void pixels must be 255"),
        (MIOU, LOGITS, TARGET.numpy(), "torch.as_tensor(target"),
        (MIOU, LOGITS, np.ma.masked_equal(TARGET.numpy(), 1), "target.filled(ignore_index)"),
        (MIOU, LOGITS, TARGET[:, None], "target.squeeze(1)"),
        (MIOU, LOGITS, TARGET.to("meta"), "target.to(logits.device)"),
        (MIOU, LOGITS[:, :1], TARGET, "'sigmoid'"),
        (MIOU, LOGITS, torch.zeros(2, 8, 10).long(), "upsample='bilinear'"),
        (EDGES, LOGITS[:, :, None], TARGET[:, None], "BoundaryIoU(radius=2) needs images"),
        (soft_loss("IoU(classes=[1,7])"), LOGITS, TARGET, "class 7"),
        (soft_loss("wIoU(weights=[1,2])"), LOGITS, TARGET, "3 classes, got 2"),
    ],
)
def test_what_a_loss_is_given(loss: AutoSegLoss, logits: Any, target: Any, key: str) -> None:
    refuses(lambda: loss(logits, target), ValueError, key)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"activation": "tanh"}, "softmax, sigmoid"),
        ({"activation": "sigmoid"}, "BF1"),
        ({"objective": "mIoU", "activation": "sigmoid", "ignore_index": 0}, "ignore_index, got 0"),
        ({"per_image": True, "sync": True}, "per_image"),
        ({"backend": "fast"}, "auto, reference, native, triton"),
        ({"align_corners": True}, "upsample='bilinear'"),
    ],
)
def test_options_of_a_loss(options: dict[str, Any], key: str) -> None:
    refuses(lambda: soft_loss(**{"objective": "BF1", **options}), ValueError, key)


LABELS = np.zeros((2, 4, 5), dtype=int)
MAPS = torch.zeros(1, 3, 2, 2).long()


@pytest.mark.parametrize(
    ("settings", "prediction", "target", "key"),
    [
        ({}, torch.zeros(2, 3, 4, 5), LABELS, "labels by logits.argmax(1)"),
        ({}, LABELS, LABELS > 0, "multilabel=True"),
        ({}, LABELS, LABELS + 7, "target (void is 255) holds labels [7]"),
        ({"protocol": "paper"}, [[0, 255]], [[0, 255]], "prediction holds labels [255]"),
        ({}, LABELS, torch.zeros(2, 4, 5).long().to("meta"), "cpu and meta"),
        ({}, LABELS[None], LABELS[None], "multilabel=True"),
        ({"multilabel": True}, MAPS.float(), MAPS, "p > 0.5"),
    ],
)
def test_label_maps(settings: Any, prediction: Any, target: Any, key: str) -> None:
    metrics = ["mIoU"] if "multilabel" in settings else ["mIoU", "BF1"]
    scores = SegmentationScores(3, metrics=metrics, **settings)
    refuses(lambda: scores.update(prediction, target), ValueError, key)
    assert all(np.isnan(value) for value in scores.compute().values()), "nothing was added"


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"protocol": "released"}, "strict, paper"),
        ({"num_classes": "3"}, "num_classes: expected a whole number >= 1, got '3'"),
        ({"tolerance": 0.5}, "tolerance"),
        ({"metrics": "mIoU"}, "['mIoU']"),
        ({"metrics": [3]}, "['mIoU']"),
        ({"multilabel": True}, "BIoU, BF1"),
        ({"multilabel": True, "metrics": ["mIoU"], "ignore_index": 1}, "ignore_index"),
    ],
)
def test_settings_of_scores(settings: dict[str, Any], key: str) -> None:
    refuses(lambda: SegmentationScores(**{"num_classes": 3, **settings}), ValueError, key)


BATCH = samples.batch(0)
SPACE = SearchSpace("mAcc")
SCORES = SegmentationScores(3)


@pytest.mark.parametrize(
    ("call", "kind", "key"),
    [
        (lambda: SearchSpace("mIoU", "cubic"), ValueError, "bezier, linear"),
        (lambda: SearchSpace("mIoU+BF1", "linear", 1), ValueError, "curve of 1 pieces"),
        (lambda: SearchSpace("mIoU+BF1", pieces=[2]), ValueError, "mIoU, BF1"),
        (lambda: SearchSpace("mIoU", pieces=2.5), ValueError, "pieces: "),  # type: ignore[arg-type]
        (lambda: SPACE.control_points([0.5] * 5), ValueError, "6 coordinates for mAcc"),
        (lambda: SPACE.control_points([0, 0, 2, 0, 0, 3]), ValueError, f"2 for {SPACE.names[2]}"),
        (lambda: SPACE.theta([np.zeros((4, 2))]), ValueError, "5 control points"),
        (lambda: operations_of(["and", "nand"]), ValueError, "nand"),
        (lambda: Objective.parse("BIoU | mIoU>=0.6").score({"BIoU": 0.5}), ValueError, "mIoU"),
        (lambda: plot.draw_losses([]), ValueError, "at least one loss"),
        (lambda: soft_loss("BIoU | mIoU>=0.6"), ValueError, "no constraints"),
        (lambda: soft_loss("mIoU*BoundaryIoU", tolerance=3), ValueError, "BIoU, BF1"),
        (lambda: LossSpec.from_json(SPEC.to_json()[:200]), SpecError, "(file): "),
        (lambda: LossSpec.from_json("[" * 200_000), SpecError, "(file): "),
        (lambda: LossSpec.from_json("[]"), SpecError, "(file): "),
        (lambda: SCORES.merge(SegmentationScores(4)), ValueError, "settings"),
        (lambda: SCORES.merge(SegmentationScores(3, tolerance=3)), ValueError, "settings"),
        (lambda: SCORES.merge(SegmentationScores(3, protocol="paper")), ValueError, "settings"),
        (lambda: gradient_scale(MIOU, []), ValueError, "at least one batch"),
        (
            lambda: gradient_scale(MIOU, [(BATCH[0], torch.full_like(BATCH[1], 255))]),
            ValueError,
            "gradient of the loss",
        ),
        (lambda: gradient_scale(MIOU, [(BATCH[0] * np.nan, BATCH[1])]), ValueError, "nan"),
        (lambda: SPEC.scaled(0.0), SpecError, "scale: "),
        (lambda: LossSpec.from_theta("a", SPACE, np.ones(6), pace=1), SpecError, "pace: "),
        (lambda: AutoSegLoss("miou"), TypeError, "load_loss('miou')"),  # type: ignore[arg-type]
        (lambda: register_metric(iou), TypeError, "Metric('Name', "),  # type: ignore[arg-type]
        (lambda: SCORES.merge({}), TypeError, "{}"),  # type: ignore[arg-type]
        (lambda: SPEC.save("nowhere/a.json"), FileNotFoundError, "'nowhere'"),
        (lambda: load_loss("nowhere.json"), FileNotFoundError, "nowhere.json"),
        (lambda: load_loss("voc-miou"), SpecError, "voc-miou-bezier"),
        (
            lambda: present_classes(
                get_metric("IoU(classes=[2])"), RegionCounts(*[torch.ones(2)] * 4), "none"
            ),
            ValueError,
            "class 2",
        ),
    ],
)
def test_other_calls(call: Call, kind: type[Exception], key: str) -> None:
    refuses(call, kind, key)


@pytest.mark.parametrize(
    ("command", "arguments", "key"),
    [
        (zoo.main, ["voc-miou"], "voc-miou-bezier"),
        (zoo.main, ["broken.json"], "name: Field required"),
        (plot.main, ["nowhere.json", "-o", "a.png"], "nowhere.json"),
        (plot.main, ["voc-macc-bezier", "-o", "nowhere/a.png"], "nowhere/a.png"),
        (plot.main, ["voc-macc-bezier", "-o", "a.xyz"], "xyz"),
    ],
)
def test_commands(
    command: Any, arguments: list[str], key: str, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    """One line and exit code 2."""
    monkeypatch.chdir(tmp_path)
    Path("broken.json").write_text('{"format": 1}')
    with pytest.raises(SystemExit, match="2"):
        command(arguments)
    (line,) = capsys.readouterr().err.splitlines()
    assert "error: " in line and key in line
