"""Slow, obvious twins of ``autoseg_core``, written from the paper's formulas and not from its code.

N: images; C: classes; H, W: pixels; K: control points of a curve, ends included.
NumPy in float64, one-hot maps and SciPy's window filters; a curve is solved by bisection. Nothing
here imports ``autoseg_core``. Sources: Auto Seg-Loss (arXiv 2010.07930), Csurka et al. 2013.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

Array = np.ndarray[Any, Any]
METRIC_NAMES = ("mIoU", "FWIoU", "mAcc", "gAcc", "BIoU", "BF1")


def _bezier(piece: Array, x: Array) -> Array:
    """Find t with u(t) = x by bisection, and return v(t)."""

    def at(t: Array, axis: int) -> Array:
        b0, b1, b2 = piece[:, axis]
        return (1 - t) ** 2 * b0 + 2 * t * (1 - t) * b1 + t**2 * b2

    low, high = np.zeros_like(x), np.ones_like(x)
    for _ in range(100):
        t = (low + high) / 2
        below = at(t, 0) < x
        low, high = np.where(below, t, low), np.where(below, high, t)
    return at((low + high) / 2, 1)


def _linear(piece: Array, x: Array) -> Array:
    (u0, v0), (u1, v1) = piece
    return v0 + (v1 - v0) * (x - u0) / (u1 - u0)


def curve(surface: str, points: Any, x: Any) -> Array:
    """Height at x (any shape) of a curve with points (K, 2); outside (0, 1) that of the end."""
    points, x = np.asarray(points, dtype=np.float64), np.asarray(x, dtype=np.float64)
    solve, stride = {"bezier": (_bezier, 2), "linear": (_linear, 1)}[surface]
    height = np.full_like(x, np.nan)
    for first in range(0, len(points) - 1, stride):
        piece = points[first : first + stride + 1]
        here = (x >= piece[0, 0]) & (x < piece[-1, 0])
        height[here] = solve(piece, x[here])
    height[x <= 0], height[x >= 1] = points[0, 1], points[-1, 1]
    return height


def one_hot(labels: Array, num_classes: int) -> Array:
    """(N, H, W) integers -> (N, C, H, W) of 0.0 and 1.0; void is in no class."""
    return np.stack([labels == c for c in range(num_classes)], axis=1).astype(np.float64)


def dilate(maps: Array, radius: int) -> Array:
    """(2r+1) x (2r+1) maximum over what lies inside the image (soft edges may be negative)."""
    size = (1, 1, 2 * radius + 1, 2 * radius + 1)
    return ndimage.maximum_filter(maps, size=size, mode="constant", cval=-np.inf)


def erode(maps: Array, seen: Array) -> Array:
    """3x3 minimum over the seen pixels (N, H, W): neither void nor the image border erodes."""
    neutral = np.where(seen[:, None], maps, 1.0)
    return ndimage.minimum_filter(neutral, size=(1, 1, 3, 3), mode="constant", cval=1.0)


def edges(maps: Array, seen: Array) -> Array:
    """Inner boundary of binary maps: pixels that differ from the map's erosion."""
    return (maps != erode(maps, seen)) * maps * seen[:, None]


def trimap(truth: Array, seen: Array, radius: int, drop_background: bool) -> Array:
    """Pixels within the radius of an edge of the truth, (N, 1, H, W)."""
    near = dilate(edges(truth, seen), radius)
    return near[:, 1 if drop_background else 0 :].max(axis=1, keepdims=True, initial=0.0)


def _sum(maps: Array) -> Array:
    return maps.sum(axis=(0, 2, 3))


def count(metric: str, truth: Array, guess: Array, masks: dict[str, Array], **rules: Any) -> Any:
    """Counts of 0/1 maps (N, C, H, W). masks: "valid" pixels, and those "seen" by edges."""
    where = masks["valid"][:, None].astype(np.float64)
    if metric.startswith("BF1"):
        seen = masks["seen"]
        return boundary_counts(edges(truth, seen), edges(guess, seen), rules["tolerance"])
    if metric == "BIoU":
        where = where * trimap(truth, masks["seen"], rules["tolerance"], rules["drop_background"])
    both, either = truth * guess, np.maximum(truth, guess)
    return {"T": _sum(truth * where), "I": _sum(both * where), "U": _sum(either * where)}


def boundary_counts(true_edges: Array, edge: Array, tolerance: int) -> dict[str, Array]:
    return {
        "T": _sum(true_edges),
        "TM": _sum(dilate(edge, tolerance) * true_edges),
        "P": _sum(edge),
        "PM": _sum(edge * dilate(true_edges, tolerance)),
    }


def _ratio(numerator: Any, denominator: Any) -> Array:
    return np.array([n / d if d > 0 else np.nan for n, d in np.broadcast(numerator, denominator)])


def per_class(metric: str, counts: dict[str, Array]) -> Array:
    """(C,) scores, NaN where the ratio is 0/0."""
    if metric in ("mIoU", "FWIoU", "BIoU"):
        return _ratio(counts["I"], counts["U"])
    if metric in ("mAcc", "gAcc"):
        return _ratio(counts["I"], counts["T"])
    precision = np.nan_to_num(_ratio(counts["PM"], counts["P"]))
    recall = np.nan_to_num(_ratio(counts["TM"], counts["T"]))
    f1 = np.nan_to_num(_ratio(2 * precision * recall, precision + recall))
    return np.where(counts["T"] > 0, f1, np.nan)  # recall is 0/0 without a truth edge


def score(metric: str, counts: dict[str, Array], present: Array) -> float:
    """The average that the metric takes over its classes; NaN when there is nothing to average."""
    total = counts["T"].sum()
    if metric == "gAcc":
        return float(counts["I"].sum() / total) if total > 0 else float("nan")
    values = np.nan_to_num(per_class(metric, counts))
    if metric == "FWIoU":
        return float((values * counts["T"]).sum() / total) if total > 0 else float("nan")
    return float(values[present].mean()) if present.any() else float("nan")


def exact(
    prediction: Array,
    target: Array,
    num_classes: int,
    *,
    ignore_index: int = 255,
    tolerance: int = 5,
    protocol: str = "strict",
    drop_background: bool = False,
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Six scores and the per-class table of label maps (N, H, W)."""
    valid = target != ignore_index
    seen = valid if protocol == "strict" else np.ones_like(valid)
    truth = one_hot(np.where(valid, target, -1), num_classes)
    guess = one_hot(prediction, num_classes) * seen[:, None]
    scores, table = {}, {}
    columns = {"mIoU": "IoU", "mAcc": "Acc", "BIoU": "BIoU", "BF1": "BF1"}
    for metric in METRIC_NAMES:
        rules = {"tolerance": tolerance, "drop_background": drop_background}
        counts = count(metric, truth, guess, {"valid": valid, "seen": seen}, **rules)
        values = per_class(metric, counts)
        present = counts["T"] > 0 if protocol == "strict" else ~np.isnan(values)
        if metric in columns:
            table[columns[metric]] = np.where(present, values, np.nan).tolist()
        if metric == "BF1" and drop_background:
            present[0] = False
        scores[metric] = score(metric, counts, present)
    return scores, table


def softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def surrogate_loss(
    term: dict[str, Any], logits: Any, target: Any, ignore_index: int = 255
) -> float:
    """``1 - surrogate score`` of one term, given as the dict that its JSON holds."""
    metric, surface, points = term["metric"], term["surface"], term["control_points"]
    target, p = np.asarray(target), softmax(np.asarray(logits, dtype=np.float64))
    valid = target != ignore_index
    seen = np.ones_like(valid) if term["void_edges"] else valid
    truth = one_hot(np.where(valid, target, -1), p.shape[1])
    where = valid[:, None].astype(np.float64)
    if metric.startswith("BF1"):
        e = erode(p, seen)
        if len(points) == 4:
            g1, g2, g3, g4 = (lambda x, q=q: curve(surface, q, x) for q in points)
            xor = g3(p) + g4(e) - g3(p) * g4(e) - g1(p) * g2(e)
        else:
            xor = curve(surface, points[0], p) - curve(surface, points[0], e)
        soft_edges = xor * seen[:, None]
        counts = boundary_counts(edges(truth, seen), soft_edges, term["tolerance"])
    else:
        if metric == "BIoU":
            near = trimap(truth, seen, term["tolerance"], term["drop_background"])
            where = where * near
        soft_and = curve(surface, points[0], p) * truth
        counts = {"T": _sum(truth * where), "I": _sum(soft_and * where)}
        if len(points) > 1:
            soft_or = truth + curve(surface, points[1], p) * (1 - truth)
            counts["U"] = _sum(soft_or * where)
    present = counts["T"] > 0 if term["absent"] == "ignore" else np.ones(p.shape[1], dtype=bool)
    if metric.startswith("BF1") and term["drop_background"]:
        present[0] = False
    return 1 - score(metric, counts, present)
