"""A study's results as one table, and what follows from it for each loss."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from auto_seg_loss.study.borders import BORDERS
from auto_seg_loss.study.inspection import measures
from auto_seg_loss.study.matrix import Cell, Study
from auto_seg_loss.study.record import Result
from auto_seg_loss.study.statistics import (
    Difference,
    Verdict,
    paired_difference,
    rank_correlations,
    verdicts,
)

Table = list[dict[str, Any]]
"""A row for each cell: dataset, network, loss, seed, failed (the reason), reward (of a candidate in
its search, else NaN), and what was measured: scores in percent, measures of borders as ratios; NaN
for what a training that diverged or failed has not, and what its setting does not measure."""


@dataclass(frozen=True, eq=False)
class Summary:
    """What a loss has of one score in one setting, and how much more than the first loss there.

    setting: labels of data set and network. values: of the seeds that did not fail.
    """

    setting: tuple[str, ...]
    loss: str
    reward: float
    values: dict[int, float]
    difference: Difference
    verdict: Verdict

    @property
    def mean(self) -> float:
        """Over the seeds; NaN for none."""
        return float(np.mean([*self.values.values()])) if self.values else math.nan


def table_of(study: Study, results: Iterable[tuple[Cell, Result]]) -> Table:
    """The results of cells as a table."""
    names = dict.fromkeys(name for one in study.settings for name in measures(one.config))
    rewards = {one.spec.name: one.reward for one in study.candidates}
    table = []
    for cell, result in results:
        row: dict[str, Any] = {"dataset": cell.setting.dataset, "network": cell.setting.network}
        row |= {"loss": cell.loss, "seed": cell.seed, "failed": result.get("failed", "")}
        row["reward"] = rewards.get(cell.loss, math.nan)
        scores = result.get("scores", {}).get(cell.config.DATASETS.TEST[0], {})
        row |= {n: scores.get(n, math.nan) * (1 if n in BORDERS else 100) for n in names}
        table.append(row)
    return table


def summaries(table: Table, score: str) -> list[Summary]:
    """One for each loss of each setting, in the order of the table; verdicts hold together.

    Measures of borders get none, for more of them is neither better nor worse.
    """
    first = table[0]["loss"]
    groups: dict[tuple[tuple[str, ...], str, float], dict[int, float]] = {}
    for row in table:
        setting = tuple(filter(None, (row["dataset"], row["network"])))
        values = groups.setdefault((setting, row["loss"], row["reward"]), {})
        if not row["failed"]:
            values[row["seed"]] = row[score]
    of = {setting: values for (setting, loss, _), values in groups.items() if loss == first}
    differences = {}
    for key, values in groups.items():
        both = [seed for seed in values if seed in of[key[0]]]
        differences[key] = paired_difference(*([x[s] for s in both] for x in (values, of[key[0]])))
    claims = [key for key in groups if key[1] != first and score not in BORDERS]
    words = dict(zip(claims, verdicts([differences[key] for key in claims]), strict=True))
    return [Summary(*key, groups[key], differences[key], words.get(key, "")) for key in groups]


def correlations(targets: list[Summary], score: str) -> list[str]:
    """How well rewards foretell mean scores: a sentence for each setting with candidates."""
    found = []
    for setting in dict.fromkeys(one.setting for one in targets):
        pairs = [(one.reward, one.mean) for one in targets if one.setting == setting]
        known = [pair for pair in pairs if np.isfinite(pair).all()]
        if len(known) > 2:
            where = ", ".join(setting) + ": " * bool(setting)
            found.append(
                f"{where}rank correlation of proxy reward and {score} over {len(known)} losses: "
                f"{rank_correlations(*np.transpose(known))} (95 % bootstrap intervals)"
            )
    return found
