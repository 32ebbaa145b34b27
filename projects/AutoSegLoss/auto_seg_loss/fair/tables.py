"""Tables of a comparison, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tabulate import tabulate

from auto_seg_loss.fair.comparison import Comparison
from auto_seg_loss.study.statistics import Difference, mean_and_spread, paired_difference


def rate_table(comparison: Comparison, losses: Sequence[str], metric: str) -> str:
    """One row per loss: its score in percent on the hold-out at every learning rate."""
    rates = sorted(comparison.rates)
    rows = [
        [loss, *(100 * comparison.at_rate(loss, rate, metric) for rate in rates)] for loss in losses
    ]
    headers = [f"{metric} on the hold-out", *(f"{rate:g}" for rate in rates)]
    return tabulate(rows, headers, tablefmt="github", floatfmt=".1f")


def difference(comparison: Comparison, loss: str, other: str, metric: str) -> Difference:
    """``loss`` less ``other`` on the test, in points, paired by seed."""
    return paired_difference(comparison.scores(loss, metric), comparison.scores(other, metric))


def score_table(comparison: Comparison, losses: Sequence[str], metric: str) -> str:
    """One row per loss, the best first: its rate, its score on the test, and how much more than
    the first loss that is."""
    first = losses[0]
    rows = [
        [
            loss,
            f"{comparison.rate(loss, metric):g}",
            mean_and_spread(comparison.scores(loss, metric)),
            "" if loss == first else str(difference(comparison, loss, first, metric)),
        ]
        for loss in sorted(losses, key=lambda one: -np.mean(comparison.scores(one, metric)))
    ]
    headers = [f"{metric} on the test", "rate", "score", f"less {first}"]
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)
