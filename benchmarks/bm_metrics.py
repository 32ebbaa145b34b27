"""Exact metrics: all six scores of an image, against one-hot maps and a confusion matrix.

H, W: pixels; C: classes. Run it with ``python -m benchmarks.bm_metrics``.

Rivals, on the same cores, with the same number of threads, in turns:
- one-hot: the same six scores as the released evaluator finds them: float maps (C, H, W), edges by
  3x3 erosion, dilation 11x11, both by max-pooling; here in torch. It runs less often, it is slow.
- confusion: what mIoU alone takes elsewhere: mask the void and ``np.bincount`` of ``C * target +
  prediction``, as in Detectron2's and mmsegmentation's evaluators. It knows nothing of boundaries.
Before anything is timed, the one-hot rival's scores must equal ours.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from autoseg_core import SegmentationScores, native
from benchmarks.timing import header, markdown_table, median_seconds

Array = np.ndarray[Any, Any]
VOID, TOLERANCE = 255, 5
MOST = 100_000_000  # numbers a one-hot map: 0.4 GB, of which its rival needs ten
SMALL, LARGE = (360, 480), (1024, 2048)
Case = tuple[str, int, tuple[int, int]]  # kind, classes, size
BARS: dict[Case, float] = {  # all six scores, as a multiple of the confusion matrix
    ("areas", 21, SMALL): 1.5,
    ("few", 21, SMALL): 1.5,
    ("noise", 21, SMALL): 3,
}
CASES: list[Case] = [
    *BARS,
    ("areas", 19, SMALL),
    ("areas", 150, SMALL),
    ("areas", 300, SMALL),
    ("noise", 150, SMALL),
    ("areas", 19, LARGE),
    ("areas", 150, LARGE),
    ("noise", 19, LARGE),
]


def areas(rng: np.random.Generator, classes: int, size: tuple[int, int]) -> Array:
    """Labels of about 40 areas with wavy borders, as annotators draw them; (H, W) int64."""
    height, width = size
    y, x = (axis[..., None] for axis in np.mgrid[:height, :width].astype(np.float32))
    x, y = x + 5 * np.sin(y / 11), y + 5 * np.sin(x / 13)
    centres = rng.random((40, 2), dtype=np.float32) * np.array(size, dtype=np.float32)
    nearest = np.concatenate(
        [
            ((y[rows] - centres[:, 0]) ** 2 + (x[rows] - centres[:, 1]) ** 2).argmin(axis=-1)
            for rows in np.array_split(np.arange(height), 16)
        ]
    )
    result: Array = rng.integers(classes, size=40)[nearest]
    return result


def example(kind: str, classes: int, size: tuple[int, int]) -> tuple[Array, Array]:
    """Prediction and target with void, (H, W) int64.

    kind: "areas" that overlap well; the same of a "few" classes, as in most photographs; or mere
    "noise", in which every pixel is an edge.
    """
    rng = np.random.default_rng(0)
    if kind == "noise":
        prediction, target = rng.integers(classes, size=(2, *size))
    else:
        present = 5 if kind == "few" else classes
        target = areas(rng, present, size)
        shifted = np.roll(target, (2, 3), axis=(0, 1))
        wrong = areas(rng, 10, size) == 0
        prediction = np.where(wrong, areas(rng, present, size), shifted)
    # The rim that VOC leaves out, and a bar as of a car's bonnet.
    void = np.zeros(size, dtype=bool)
    void[-size[0] // 20 :] = True
    return prediction, np.where(void, VOID, target)


def confusion(prediction: Array, target: Array, classes: int) -> Array:
    """mmsegmentation's and Detectron2's way to a (C, C) matrix."""
    valid = target != VOID
    code = classes * target[valid] + prediction[valid]
    return np.bincount(code, minlength=classes**2).reshape(classes, classes)


def one_hot_scores(prediction: Tensor, target: Tensor, classes: int) -> list[float]:
    """Six scores by one-hot maps and max-pooling: the strict protocol's, for comparison."""
    valid = target != VOID
    truth, guess = (
        (F.one_hot(torch.where(valid, labels, 0), classes).movedim(-1, 0) * valid).float()
        for labels in (target, prediction)
    )
    edges_t, edges_p = _edges(truth, valid), _edges(guess, valid)
    near_t, near_p = _dilate(edges_t), _dilate(edges_p)
    scores = _region_scores(truth, guess)
    trimap = near_t.amax(dim=0)
    scores.append(_region_scores(truth * trimap, guess * trimap)[0])
    precision = (edges_p * near_t).sum((1, 2)).double() / edges_p.sum((1, 2)).clamp(min=1)
    recall = (edges_t * near_p).sum((1, 2)).double() / edges_t.sum((1, 2)).clamp(min=1)
    f1 = 2 * precision * recall / (precision + recall).clamp(min=1e-12)
    return [*scores, float(f1[edges_t.amax((1, 2)) > 0].mean())]


def _edges(maps: Tensor, valid: Tensor) -> Tensor:
    """Maps less their 3x3 erosion; void and the border do not erode."""
    hollow = (1 - maps) * valid
    return maps * F.max_pool2d(hollow[None], 3, 1, 1)[0]


def _dilate(maps: Tensor) -> Tensor:
    return F.max_pool2d(maps[None], 2 * TOLERANCE + 1, 1, TOLERANCE)[0]


def _region_scores(truth: Tensor, guess: Tensor) -> list[float]:
    """mIoU, FWIoU, mAcc, gAcc of one-hot maps (C, H, W)."""
    target, both = truth.sum((1, 2)).double(), (truth * guess).sum((1, 2)).double()
    union = torch.maximum(truth, guess).sum((1, 2)).double()
    present, total = target > 0, target.sum()
    iou, recall = both / union.clamp(min=1), both / target.clamp(min=1)
    weighted = (target * iou).sum() / total
    means = (iou[present].mean(), weighted, recall[present].mean(), both.sum() / total)
    return [float(score) for score in means]


def ours(prediction: Array, target: Array, classes: int) -> SegmentationScores:
    scores = SegmentationScores(classes, tolerance=TOLERANCE)
    scores.update(prediction, target)
    return scores


def measure(kind: str, classes: int, size: tuple[int, int], repeats: int) -> list[str]:
    """A row of the table."""
    prediction, target = example(kind, classes, size)
    scores = ours(prediction, target, classes)
    calls: dict[str, Callable[[], object]] = {
        "update": partial(scores.update, prediction, target),
        "compute": scores.compute,
        "confusion": partial(confusion, prediction, target, classes),
    }
    seconds = median_seconds(calls, repeats, warmups=3)
    both = seconds["update"] + seconds["compute"]
    slow = None
    if classes * prediction.size <= MOST:
        one_hot = partial(
            one_hot_scores, torch.from_numpy(prediction), torch.from_numpy(target), classes
        )
        fresh = ours(prediction, target, classes).compute()
        np.testing.assert_allclose(one_hot(), list(fresh.values()), rtol=1e-5)
        slow = median_seconds({"one-hot": one_hot}, repeats=3, warmups=0)["one-hot"]
    return [
        f"{kind}, C = {classes}, {size[1]}x{size[0]}",
        *(f"{1e3 * seconds[name]:.2f}" for name in calls),
        f"{1e3 * slow:.0f}" if slow else "-",
        f"{seconds['update'] / seconds['confusion']:.2f}",
        f"{both / seconds['confusion']:.2f}",
        f"{slow / both:.0f}" if slow else "-",
    ]


def promises(cases: Sequence[Case], rows: Sequence[Sequence[str]]) -> str:
    """The bars beside what was measured."""
    table = []
    for case, row in zip(cases, rows, strict=True):
        if bar := BARS.get(case):
            met = "yes" if float(row[-2]) <= bar else "no"
            table.append([f"all / confusion, {row[0]}", row[-2], f"≤ {bar:g}", met])
    return markdown_table(["promised", "measured", "bar", "met"], table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=25, help="repeats of the fast cases")
    parser.add_argument(
        "--threads", type=int, nargs="+", default=[1, 2], help="torch threads; NumPy uses one"
    )
    parser.add_argument("--quick", action="store_true", help="smoke test: one small case")
    parser.add_argument("--cases", type=int, default=len(CASES), help="run only the first cases")
    args = parser.parse_args()
    columns = ["image", "update", "compute", "confusion", "one-hot"]
    columns += ["update / confusion", "all / confusion", "one-hot / all"]
    cases, repeats = (CASES[:1], 1) if args.quick else (CASES[: args.cases], args.repeats)
    for threads in args.threads:
        torch.set_num_threads(threads)
        kernels = torch.backends.cpu.get_cpu_capability() if native.CPU else "no kernels"
        print(f"All six exact scores of one image; milliseconds; {kernels}. {header()}\n")
        rows = [measure(*case, repeats) for case in cases]
        print(promises(cases, rows))
        print()
        print(markdown_table(columns, rows))
        print()


if __name__ == "__main__":
    main()
