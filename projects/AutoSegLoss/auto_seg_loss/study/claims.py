"""What a found loss gains over its rivals, metric by metric."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tabulate import tabulate

from auto_seg_loss.study.comparison import SOFT, Comparison
from auto_seg_loss.study.statistics import in_words, verdicts


def claims_table(
    comparison: Comparison, found: str, losses: Sequence[str], metrics: Sequence[str]
) -> str:
    """Markdown: one row per metric, scores in percent on the test and three differences.

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
        rows.append(
            [
                metric,
                f"{mean[first]:.2f}",
                f"{best} {mean[best]:.2f}",
                f"{mean[twin]:.2f}" if twin in losses else "",
                f"{mean[found]:.2f}",
            ]
        )
        claims.append([comparison.difference(found, other, metric) for other in others])
    verdict = iter(verdicts([claim for row in claims for claim in row]))
    for row, made in zip(rows, claims, strict=True):
        row += [in_words(claim, next(verdict)) for claim in made]
        row += [""] * (3 - len(made))
    headers = [
        *("metric", first, "best other", "unsearched", "found"),
        *(f"less {first}", "less best other", "less unsearched"),
    ]
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)
