"""SegmentationScores against the one-hot twin: protocols, streaming, kinds of input."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
import references
import samples
import torch

from autoseg_core import SegmentationScores
from autoseg_core.scores import PAPER_METRICS

NAN = math.nan


def assert_same(scores: SegmentationScores, expected: tuple[Any, Any]) -> None:
    computed, table = scores.compute(), scores.per_class()
    assert list(computed) == list(PAPER_METRICS)
    np.testing.assert_allclose(
        [computed[k] for k in expected[0]], list(expected[0].values()), 1e-12
    )
    assert sorted(table) == sorted(expected[1])
    for column, values in expected[1].items():
        np.testing.assert_allclose(table[column], values, rtol=1e-12, err_msg=column)


@pytest.mark.parametrize("protocol", ["strict", "paper"])
@pytest.mark.parametrize(
    ("drop_background", "tolerance", "classes"), [(False, 0, 1), (True, 5, 5), (False, 5, 100)]
)
def test_scores_equal_the_one_hot_twin(
    protocol: Any, drop_background: bool, tolerance: int, classes: int
) -> None:
    prediction, target = samples.images(classes, classes, max(1, classes - 1))
    settings = {"tolerance": tolerance, "protocol": protocol, "drop_background": drop_background}
    scores = SegmentationScores(classes, **settings)
    scores.update(prediction, target)
    assert_same(scores, references.exact(prediction, target, classes, **settings))


def test_the_default_device_does_not_matter() -> None:
    prediction, target = samples.images(0)
    expected = SegmentationScores(5)
    expected.update(prediction, target)
    with torch.device("meta"):
        scores = SegmentationScores(5)
        scores.update(prediction, target)
        assert scores.compute() == expected.compute()


@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_several_void_labels(protocol: Any) -> None:
    prediction, target = samples.images(0)
    expected, scores = (
        SegmentationScores(5, void, protocol=protocol) for void in (255, [255, 7, -1])
    )
    expected.update(prediction, target)
    others = np.where(np.indices(target.shape).sum(0) % 2, -1, 255)
    scores.update(prediction, np.where(target == 255, others, target))
    assert scores.compute() == expected.compute()


def test_bools_are_labels_of_two_classes() -> None:
    masks = [labels == 1 for labels in samples.images(2, 3, 2)]
    expected, scores = SegmentationScores(2), SegmentationScores(2)
    expected.update(*(mask.astype(int) for mask in masks))
    scores.update(*masks)
    assert scores.compute() == expected.compute()


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_what_a_masked_array_masks_is_void(which: int, dtype: Any) -> None:
    pair = list(samples.images(1))
    mask = np.random.default_rng(0).random(pair[0].shape) < 0.2
    expected, scores = SegmentationScores(5), SegmentationScores(5)
    expected.update(pair[0], np.where(mask, 255, pair[1]))
    hidden = np.where(mask, 99, pair[which]).astype(dtype)  # no class: it must not be looked at
    pair[which] = np.ma.array(hidden, mask=mask)
    scores.update(*pair)
    assert scores.compute() == expected.compute()


@pytest.mark.parametrize("protocol", ["strict", "paper"])
@pytest.mark.parametrize("ignore_index", [-1, 0, 3, 11])
def test_a_void_label_may_be_that_of_a_class(ignore_index: int, protocol: Any) -> None:
    prediction, target = samples.images(4)
    target = np.where(target == ignore_index, 1, target)  # that class gives way to the void label
    target = np.where(target == samples.VOID, ignore_index, target)
    settings = {"ignore_index": ignore_index, "protocol": protocol}
    scores = SegmentationScores(5, **settings)
    scores.update(prediction, target)
    assert_same(scores, references.exact(prediction, target, 5, **settings))


@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_parts_and_merge_give_what_all_at_once_gives(protocol: Any) -> None:
    prediction, target = samples.images(5, shape=(4, 14, 18))
    whole, left, right = (SegmentationScores(5, protocol=protocol) for _ in range(3))
    whole.update(prediction, target)
    left.update(prediction[0], target[0])
    left.update(prediction[1:2], target[1:2])
    right.update(prediction[2:], target[2:])
    right = pickle.loads(pickle.dumps(right))
    assert left.merge(right) is left
    assert left.compute() == whole.compute()
    np.testing.assert_equal(left.per_class(), whole.per_class())


def test_only_what_is_asked_for_is_computed_and_counted() -> None:
    prediction, target = samples.images(10)
    six, two = SegmentationScores(5), SegmentationScores(5, metrics=("gAcc", "BIoU"))
    assert six.metrics == PAPER_METRICS
    six.update(prediction, target)
    two.update(prediction, target)
    assert list(two.counts) == ["image", "trimap"]
    assert int(two.counts["image"].target.sum()) == (target != samples.VOID).sum()
    assert two.compute() == {name: six.compute()[name] for name in ("gAcc", "BIoU")}
    np.testing.assert_equal(two.per_class(), {k: six.per_class()[k] for k in ("Acc", "BIoU")})


def scores_of(
    prediction: Any, target: Any, num_classes: int = 2, **settings: Any
) -> dict[str, float]:
    scores = SegmentationScores(num_classes, **settings)
    scores.update(np.asarray(prediction), np.asarray(target))
    return scores.compute()


@pytest.mark.parametrize(
    ("prediction", "tolerance", "strict", "paper"),
    [
        # Target 0 0 void 1 1. Strict sees no boundary at all; for the released evaluator the rim of
        # the void is one (pixels 1 and 3), and so is a class border that is predicted inside it.
        ([0, 0, 1, 1, 1], 0, (NAN, NAN), (1, 0.5)),  # edges 1, 2: only class 0 meets its rim
        ([0, 0, 0, 1, 1], 0, (NAN, NAN), (1, 0.5)),  # edges 2, 3: only class 1
        ([0, 0, 1, 1, 1], 1, (NAN, NAN), (1, 1)),
        ([0, 0, 0, 0, 0], 1, (NAN, NAN), (0.25, 0)),  # class 0: 2 of 4; no predicted edge
    ],
)
def test_the_rim_of_void_by_hand(
    prediction: list[int], tolerance: int, strict: Any, paper: Any
) -> None:
    target = [[0, 0, 255, 1, 1]]
    for protocol, expected in (("strict", strict), ("paper", paper)):
        scores = scores_of([prediction], target, tolerance=tolerance, protocol=protocol)
        assert (scores["BIoU"], scores["BF1"]) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("drop_background", [False, True])
def test_strict_never_looks_inside_void(drop_background: bool) -> None:
    rng = np.random.default_rng(0)
    target = samples.with_void(rng, samples.label_maps(rng, 4))
    prediction = samples.label_maps(rng, 5)
    void = target == samples.VOID
    settings = {"drop_background": drop_background}
    expected = scores_of(prediction, target, 5, **settings)
    for filling in (0, 4, samples.label_maps(rng, 5), 255, -1, 10**6):
        other = np.where(void, filling, prediction)
        assert scores_of(other, target, 5, **settings) == expected


@pytest.mark.parametrize("metric", ["BF1", "wBF1(weights=[1,3,96])"])
def test_paper_leaves_a_class_without_a_true_edge_out_of_bf1(metric: str) -> None:
    target = np.zeros((1, 12, 12), dtype=np.int64)
    target[0, 3:9, 3:9] = 1
    prediction = target.copy()
    prediction[0, 5, 5] = 2
    scores = SegmentationScores(3, protocol="paper", metrics=[metric])
    scores.update(prediction, target)
    (values,) = scores.per_class().values()
    assert values == pytest.approx([1, 1, NAN], nan_ok=True)
    assert scores.compute()[metric] == 1
    scores.reset()
    scores.update(prediction, target * 0)
    assert math.isnan(scores.compute()[metric]), "no true edge at all"


@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_nothing_valid_gives_nan(protocol: Any) -> None:
    void = np.full((1, 4, 4), 255)
    assert all(math.isnan(v) for v in scores_of(void * 0, void, protocol=protocol).values())
    nothing = np.zeros((0, 4, 4), dtype=np.int64)
    assert all(math.isnan(v) for v in scores_of(nothing, nothing, protocol=protocol).values())
