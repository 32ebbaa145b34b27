"""Tables of a comparison of losses, as Markdown: one row per loss, or per metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from auto_seg_loss.study.comparison import Comparison
from auto_seg_loss.study.losses import SOFT
from auto_seg_loss.study.statistics import (
    Difference,
    judged,
    markdown,
    mean_and_spread,
    note_if_equal,
)

RIVALS = {"first": "", "best": ", the best other loss", "unsearched": ", the unsearched surrogate"}
"""What a found loss is compared with -> its name in sentences."""


def compare(
    comparison: Comparison, losses: Sequence[str], metrics: Sequence[str], found: str = ""
) -> str:
    """Run missing trainings; returns the tables of all metrics, with remarks.

    found: the one of ``losses`` whose gains over the others are also reported.
    """
    comparison.choose(losses, metrics)
    parts = [rate_table(comparison, losses, metric) for metric in metrics]
    if comparison.seeds:
        comparison.repeat(losses, metrics)
        kinds = [score_table, *([curve_table] if comparison.every else [])]
        parts += [kind(comparison, losses, metric) for kind in kinds for metric in metrics]
        parts += gains(comparison, losses, metrics, found) if found else []
    return "\n\n".join(parts) + "\n"


def rate_table(
    comparison: Comparison, losses: Sequence[str], metric: str, beside: Sequence[str] = ()
) -> str:
    """The score of each loss in percent on the hold-out at every rate, with one seed; with a spread
    if it is the mean of several. beside: further metrics, shown at the best rate."""
    rates = sorted(comparison.rates)
    scores = [[comparison.at_rate(loss, rate, metric) for rate in rates] for loss in losses]
    more = [
        [comparison.at_rate(loss, comparison.rate(loss, metric), metric, by) for by in beside]
        for loss in losses
    ]
    rows = [
        [loss, *(mean_and_spread(one, digits=1) for one in [*own, *others])]
        for loss, own, others in zip(losses, scores, more, strict=True)
    ]
    headers = [*map("{:g}".format, rates), *(f"{by} at the best rate" for by in beside)]
    table = markdown(rows, [f"{metric} on the hold-out", *headers])
    return table + note_if_equal(np.concatenate([one for own in scores for one in own]))


def score_table(
    comparison: Comparison, losses: Sequence[str], metric: str, beside: Sequence[str] = ()
) -> str:
    """Sorted, best loss first: its rate, its score on the test part, and its gain over the first
    of ``losses``; the verdicts hold together. beside: further metrics of the same
    trainings."""
    first, *others = losses
    values = {loss: [*comparison.scores(loss, metric).values()] for loss in losses}
    gains = judged({loss: comparison.difference(loss, first, metric) for loss in others})
    words = {first: "", **{loss: gain.words for loss, gain in gains.items()}}
    rows = []
    for loss in sorted(losses, key=lambda one: -comparison.mean(one, metric)):
        more = [comparison.scores(loss, metric, by).values() for by in beside]
        shown = [mean_and_spread(own) for own in (values[loss], *more)]
        rows.append([loss, f"{comparison.rate(loss, metric):g}", *shown, words[loss]])
    table = markdown(rows, [f"{metric} on the test", "rate", "score", *beside, f"less {first}"])
    return table + note_if_equal(np.ravel([*values.values()]))


def curve_table(comparison: Comparison, losses: Sequence[str], metric: str) -> str:
    """How soon each loss reaches the final score of the first on the hold-out, seed by seed.

    Mean iterations over the seeds, in steps of ``comparison.every``, and their ratio to those of
    the first loss itself.
    """
    curves = {loss: comparison.curves(loss, metric) for loss in losses}
    goals = [curve[-1][1] for curve in curves[losses[0]]]
    rows, own = [], 0.0
    for loss in losses:
        found = [_reach(curve, goal) for curve, goal in zip(curves[loss], goals, strict=True)]
        if lost := found.count(None):
            rows.append([loss, f"not reached by {lost} of {len(found)} seeds", ""])
            continue
        mean = float(np.mean([one for one in found if one]))
        own = own or mean
        rows.append([loss, f"{mean:.0f}", f"{mean / own:.2f}"])
    return markdown(rows, [f"to the final {metric} of {losses[0]}", "iterations", "ratio"])


def _reach(curve: Sequence[tuple[int, float]], goal: float) -> int | None:
    return next((iteration for iteration, score in curve if score >= goal), None)


def gains(
    comparison: Comparison, losses: Sequence[str], metrics: Sequence[str], found: str
) -> list[str]:
    """A table with one row per metric, scores in percent on the test and three differences, and a
    sentence for each.

    The found loss against the first of ``losses``, against the best of them on the hold-out, and
    against the unsearched surrogate of the metric if it is among them. Unsearched surrogates
    cannot be the best, unless one is the first. The verdicts of the table
    hold together, by Holm's method.
    """
    rivals = {metric: _rivals(comparison, losses, metric, found) for metric in metrics}
    pairs = {(metric, kind): loss for metric in metrics for kind, loss in rivals[metric].items()}
    differences = {
        (metric, loss): comparison.difference(found, loss, metric)
        for (metric, _), loss in pairs.items()
    }
    verdicts = judged(differences)  # each pair once: the first may also be the best
    claims = {(metric, kind): verdicts[metric, loss] for (metric, kind), loss in pairs.items()}
    first = pairs[metrics[0], "first"]
    headers = [
        *("metric", first, "best other", "unsearched", "found"),
        *(f"less {first}", "less best other", "less unsearched"),
    ]
    rows = []
    for metric, own in rivals.items():
        named = {**own, "found": found}
        means = {kind: f"{comparison.mean(loss, metric):.2f}" for kind, loss in named.items()}
        words = [claims[metric, kind].words if kind in own else "" for kind in RIVALS]
        best, unsearched = f"{own['best']} {means['best']}", means.get("unsearched", "")
        rows.append([metric, means["first"], best, unsearched, means["found"], *words])
    sentences = (_sentence(metric, own, claims) for metric, own in rivals.items())
    return [markdown(rows, headers), *sentences]


def _rivals(
    comparison: Comparison, losses: Sequence[str], metric: str, found: str
) -> dict[str, str]:
    """Kind -> loss, for the kinds in ``RIVALS`` that are compared."""
    first, *rest = (loss for loss in losses if loss != found)
    known = [first, *(loss for loss in rest if not loss.startswith(SOFT))]
    made = {"first": first, "best": comparison.best(known, metric), "unsearched": SOFT + metric}
    return {kind: loss for kind, loss in made.items() if loss in losses}


def _sentence(
    metric: str, rivals: Mapping[str, str], claims: Mapping[tuple[str, str], Difference]
) -> str:
    told = []
    for kind, loss in rivals.items():
        gain = claims[metric, kind]
        noise = " (not beyond the noise)" * (not gain.verdict)
        told.append(f"{gain.numbers} over {loss}{RIVALS[kind]}{noise}")
    return (
        f"On the test the found loss gains, in points of {metric} with 95 % intervals, "
        f"{'; '.join(told)}."
    )
