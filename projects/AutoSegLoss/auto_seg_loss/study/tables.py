"""What a comparison of losses says, as Markdown: one row per loss, or per metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from auto_seg_loss.study.comparison import Comparison
from auto_seg_loss.study.statistics import (
    Difference,
    Verdict,
    in_words,
    markdown,
    mean_and_spread,
    note_if_equal,
    verdicts,
)
from auto_seg_loss.study.trials import SOFT


class Claim(NamedTuple):
    """What the found loss gains over another one on the test."""

    loss: str
    gain: Difference
    verdict: Verdict


def compare(
    comparison: Comparison, losses: Sequence[str], metrics: Sequence[str], found: str = ""
) -> str:
    """Make the trainings that are missing; the tables of all metrics, and what they show.

    found: the one of ``losses`` whose gains over the others are told too.
    """
    comparison.choose(losses, metrics)
    parts = [rate_table(comparison, losses, metric) for metric in metrics]
    if comparison.seeds:
        comparison.repeat(losses, metrics)
        kinds = [score_table, *([curve_table] if comparison.every else [])]
        parts += [kind(comparison, losses, metric) for kind in kinds for metric in metrics]
        parts += gains(comparison, losses, metrics, found) if found else []
    return "\n\n".join(parts) + "\n"


def rate_table(comparison: Comparison, losses: Sequence[str], metric: str) -> str:
    """The score of each loss in percent on the hold-out at every rate, of one seed; with a spread
    where it is the mean of several."""
    rates = sorted(comparison.rates)
    scores = [[comparison.at_rate(loss, rate, metric) for rate in rates] for loss in losses]
    rows = [[a, *map(_one_decimal, own)] for a, own in zip(losses, scores, strict=True)]
    table = markdown(rows, [f"{metric} on the hold-out", *map("{:g}".format, rates)])
    return table + note_if_equal(np.concatenate([one for own in scores for one in own]))


def _one_decimal(scores: Sequence[float]) -> str:
    spread = f" ± {np.std(scores, ddof=1):.1f}" if len(scores) > 1 else ""
    return f"{np.mean(scores):.1f}{spread}"


def score_table(comparison: Comparison, losses: Sequence[str], metric: str) -> str:
    """The best loss first: its rate, its score on the test, and how much more than the first loss
    of ``losses`` that is; the verdicts hold together."""
    first, *others = losses
    claims = [comparison.difference(loss, first, metric) for loss in others]
    words = map(in_words, claims, verdicts(claims))
    gains = {first: "", **dict(zip(others, words, strict=True))}
    scores = {loss: comparison.scores(loss, metric) for loss in losses}
    rows = [
        [loss, f"{comparison.rate(loss, metric):g}", mean_and_spread(scores[loss]), gains[loss]]
        for loss in sorted(losses, key=lambda one: -np.mean(scores[one]))
    ]
    table = markdown(rows, [f"{metric} on the test", "rate", "score", f"less {first}"])
    return table + note_if_equal(np.ravel([*scores.values()]))


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


def gains(
    comparison: Comparison, losses: Sequence[str], metrics: Sequence[str], found: str
) -> list[str]:
    """A table with one row per metric, scores in percent on the test and three differences, and a
    sentence for each.

    The found loss against the first of ``losses``, against the best of them, which the hold-out
    chooses, and against the unsearched surrogate of the metric if it is among them. Unsearched
    surrogates are no candidates for the best, unless one is the first. The verdicts of the table
    hold together, by Holm's method.
    """
    made = _claims(comparison, losses, metrics, found)
    first = made[metrics[0]][0].loss
    headers = [
        *("metric", first, "best other", "unsearched", "found"),
        *(f"less {first}", "less best other", "less unsearched"),
    ]
    rows = [_row(comparison, found, *item) for item in made.items()]
    return [markdown(rows, headers), *(_sentence(*item) for item in made.items())]


def _claims(
    comparison: Comparison, losses: Sequence[str], metrics: Sequence[str], found: str
) -> dict[str, list[Claim]]:
    """Of each metric: over the first loss, over the best other, over the unsearched surrogate."""
    first, *rest = (loss for loss in losses if loss != found)
    rivals = [first, *(loss for loss in rest if not loss.startswith(SOFT))]
    others = {m: [first, comparison.best(rivals, m), f"{SOFT}{m}"] for m in metrics}
    pairs = [(metric, one) for metric in metrics for one in others[metric] if one in losses]
    claims = [comparison.difference(found, one, metric) for metric, one in pairs]
    made: dict[str, list[Claim]] = {metric: [] for metric in metrics}
    for (metric, one), gain, verdict in zip(pairs, claims, verdicts(claims), strict=True):
        made[metric].append(Claim(one, gain, verdict))
    return made


def _row(comparison: Comparison, found: str, metric: str, claims: Sequence[Claim]) -> list[str]:
    own, *means = (
        f"{np.mean(comparison.scores(loss, metric)):.2f}"
        for loss in (found, *(one.loss for one in claims))
    )
    words = [in_words(one.gain, one.verdict) for one in claims]
    if len(claims) < 3:
        means, words = [*means, ""], [*words, ""]
    first, best, unsearched = means
    return [metric, first, f"{claims[1].loss} {best}", unsearched, own, *words]


def _sentence(metric: str, claims: Sequence[Claim]) -> str:
    kinds = ("", ", the best other loss", ", the unsearched surrogate")
    told = [
        f"{one.gain.numbers} over {one.loss}{kind}" + " (not beyond the noise)" * (not one.verdict)
        for one, kind in zip(claims, kinds, strict=False)
    ]
    return (
        f"On the test the found loss gains, in points of {metric} with 95 % intervals, "
        f"{'; '.join(told)}."
    )
