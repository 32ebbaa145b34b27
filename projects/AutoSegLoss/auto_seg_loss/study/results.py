"""A study's results as one table, and what follows from it for each loss."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from auto_seg_loss.study.borders import BORDERS
from auto_seg_loss.study.matrix import Cell, Study, measures
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
for what a training that diverged or failed has not."""


@dataclass(frozen=True, eq=False)
class Summary:
    """What a loss has of one score in one setting, and how much more than the reference, the first
    loss there. setting: labels of data set and network. values: of the seeds that did not fail."""

    setting: tuple[str, ...]
    loss: str
    score: str
    values: dict[int, float]
    reward: float
    reference: str
    difference: Difference
    verdict: Verdict = ""

    @property
    def mean(self) -> float:
        """Over the seeds; NaN for none."""
        return float(np.mean([*self.values.values()])) if self.values else math.nan


def table_of(study: Study, results: Iterable[tuple[Cell, Result]]) -> Table:
    """The results of cells as a table."""
    rewards = {one.spec.name: one.reward for one in study.candidates}
    table = []
    for cell, result in results:
        row: dict[str, Any] = {"dataset": cell.setting.dataset, "network": cell.setting.network}
        row |= {"loss": cell.loss, "seed": cell.seed, "failed": result.get("failed", "")}
        row["reward"] = rewards.get(cell.loss, math.nan)
        scores = result.get("scores", {}).get(cell.config.DATASETS.TEST[0], {})
        for name in measures(cell.config):
            row[name] = scores.get(name, math.nan) * (1 if name in BORDERS else 100)
        table.append(row)
    return table


def summaries(table: Table, score: str) -> list[Summary]:
    """One for each loss of each setting, in the order of the table; verdicts hold together.

    Measures of borders get none, for more of them is neither better nor worse.
    """
    groups: dict[tuple[tuple[str, ...], str, float], dict[int, float]] = {}
    for row in table:
        setting = tuple(filter(None, (row["dataset"], row["network"])))
        values = groups.setdefault((setting, row["loss"], row["reward"]), {})
        if not row["failed"]:
            values[row["seed"]] = row[score]
    found: list[Summary] = []
    firsts: dict[tuple[str, ...], tuple[str, dict[int, float]]] = {}
    for (setting, loss, reward), values in groups.items():
        reference, of = firsts.setdefault(setting, (loss, values))
        seeds = [seed for seed in values if seed in of]
        difference = paired_difference([values[s] for s in seeds], [of[s] for s in seeds])
        found.append(Summary(setting, loss, score, values, reward, reference, difference))
    claims = [one for one in found if one.loss != one.reference and score not in BORDERS]
    words = dict(zip(claims, verdicts([one.difference for one in claims]), strict=True))
    return [replace(one, verdict=words.get(one, "")) for one in found]


def correlations(targets: list[Summary]) -> list[str]:
    """How well rewards foretell mean targets: a sentence for each setting with candidates."""
    found = []
    for setting in dict.fromkeys(one.setting for one in targets):
        pairs = [(one.reward, one.mean) for one in targets if one.setting == setting]
        known = [pair for pair in pairs if np.isfinite(pair).all()]
        if len(known) > 2:
            where = ", ".join(setting) + ": " * bool(setting)
            found.append(
                f"{where}rank correlation of proxy reward and {targets[0].score} over {len(known)} "
                f"losses: {rank_correlations(*np.transpose(known))} (95 % bootstrap intervals)"
            )
    return found
