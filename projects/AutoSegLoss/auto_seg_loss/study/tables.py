"""What a comparison of losses says, as Markdown tables: one row per loss, or per metric."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tabulate import tabulate

from auto_seg_loss.study.comparison import Comparison
from auto_seg_loss.study.statistics import in_words, markdown, mean_and_spread, verdicts
from auto_seg_loss.study.twins import SOFT


def rate_table(comparison: Comparison, losses: Sequence[str], metric: str) -> str:
    """The score of each loss in percent on the hold-out at every rate."""
    rates = sorted(comparison.rates)
    rows = [[a, *(100 * comparison.at_rate(a, rate, metric) for rate in rates)] for a in losses]
    headers = [f"{metric} on the hold-out", *(f"{rate:g}" for rate in rates)]
    return tabulate(rows, headers, tablefmt="github", floatfmt=".1f")


def score_table(comparison: Comparison, losses: Sequence[str], metric: str) -> str:
    """The best loss first: its rate, its score on the test, and how much more than the first loss
    of ``losses`` that is; the verdicts hold together."""
    first, *others = losses
    claims = {loss: comparison.difference(loss, first, metric) for loss in others}
    found = dict(zip(claims, verdicts(list(claims.values())), strict=True))
    rows = [
        [
            loss,
            f"{comparison.rate(loss, metric):g}",
            mean_and_spread(comparison.scores(loss, metric)),
            "" if loss == first else in_words(claims[loss], found[loss]),
        ]
        for loss in sorted(losses, key=lambda one: -np.mean(comparison.scores(one, metric)))
    ]
    return markdown(rows, [f"{metric} on the test", "rate", "score", f"less {first}"])


def curve_table(comparison: Comparison, losses: Sequence[str], metric: str) -> str:
    """How soon each loss has the final score of the first on the hold-out, seed by seed.

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


def claims_table(
    comparison: Comparison, found: str, losses: Sequence[str], metrics: Sequence[str]
) -> str:
    """One row per metric: scores in percent on the test and three differences.

    The found loss against the first of ``losses``, against the best of them, which the hold-out
    chooses, and against the unsearched surrogate of the metric if it is among them. Unsearched
    surrogates are no candidates for the best, unless one is the first. The verdicts of the table
    hold together, by Holm's method.
    """
    first, *rest = (loss for loss in losses if loss != found)
    rivals = [first, *(loss for loss in rest if not loss.startswith(SOFT))]
    rows, claims = [], []
    for metric in metrics:
        best, twin = comparison.best(rivals, metric), f"{SOFT}{metric}"
        others = [first, best, *([twin] if twin in losses else [])]
        mean = {one: np.mean(comparison.scores(one, metric)) for one in (*others, found)}
        unsearched = f"{mean[twin]:.2f}" if twin in losses else ""
        scores = [f"{mean[first]:.2f}", f"{best} {mean[best]:.2f}", unsearched]
        rows.append([metric, *scores, f"{mean[found]:.2f}"])
        claims.append([comparison.difference(found, other, metric) for other in others])
    verdict = iter(verdicts([claim for row in claims for claim in row]))
    for row, made in zip(rows, claims, strict=True):
        row += [in_words(claim, next(verdict)) for claim in made]
        row += [""] * (3 - len(made))
    headers = [
        *("metric", first, "best other", "unsearched", "found"),
        *(f"less {first}", "less best other", "less unsearched"),
    ]
    return markdown(rows, headers)
