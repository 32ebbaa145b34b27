"""What a study has found so far: rows of the tables, and what is computed from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from auto_seg_loss.study.borders import mean_of
from auto_seg_loss.study.finished import CellResult
from auto_seg_loss.study.matrix import Study
from auto_seg_loss.study.settings import Setting
from auto_seg_loss.study.statistics import (
    Correlation,
    Difference,
    Verdict,
    paired_difference,
    rank_correlations,
)

BORDERS = ("border_length", "jaggedness")
"""Measures that are tabled beside the scores; as ratios, not in percent."""


@dataclass(frozen=True, eq=False)
class Row:
    """One loss in one setting: its finished runs by seed."""

    setting: Setting
    loss: str
    runs: dict[int, CellResult]

    def values(self, name: str, seeds: Iterable[int] | None = None) -> list[float]:
        """A score, or the mean over classes of a border's measure, of these seeds or of all."""
        return [value_of(self.runs[seed], name) for seed in (self.runs if seeds is None else seeds)]


def value_of(result: CellResult, name: str) -> float:
    """A score of one cell, or the mean over classes of a border's measure; NaN without any."""
    return result.scores[name] if name in result.scores else mean_of(result.shown.get(name, []))


def rows_of(study: Study, results: Sequence[CellResult]) -> list[Row]:
    """A row for each setting and loss, in the study's order."""
    rows = []
    for setting in study.settings:
        for loss in study.labels().values():
            own = [r for r in results if r.cell.setting is setting and r.cell.loss == loss]
            rows.append(Row(setting, loss, {r.cell.seed: r for r in own if not r.reason}))
    return rows


def reference_of(row: Row, rows: Sequence[Row]) -> Row:
    """The first loss of the same setting, which the others are compared with."""
    return next(one for one in rows if one.setting is row.setting)


def difference(row: Row, reference: Row, name: str) -> Difference:
    """Of a score, over the seeds that both have."""
    seeds = [seed for seed in row.runs if seed in reference.runs]
    return paired_difference(row.values(name, seeds), reference.values(name, seeds))


def verdict_of(found: Difference, name: str) -> Verdict:
    """That of a score; none of a border's measure, of which more is not better."""
    return "" if name in BORDERS else found.verdict


def columns_of(study: Study) -> tuple[str, ...]:
    """What is tabled: the scores, and with STUDY.BORDERS the measures of borders."""
    return (*study.score_names, *(BORDERS if study.config.STUDY.BORDERS else ()))


def correlations(study: Study, rows: Sequence[Row]) -> list[tuple[Setting, list[Correlation]]]:
    """For each setting, that of the candidates' rewards with their mean target; [] without."""
    found = []
    for setting in study.settings:
        pairs = reward_pairs(study, rows, setting)
        if len(pairs) >= 3:
            rewards, scores = zip(*pairs.values(), strict=True)
            found.append((setting, rank_correlations(rewards, scores)))
    return found


def reward_pairs(
    study: Study, rows: Sequence[Row], setting: Setting
) -> dict[str, tuple[float, float]]:
    """Candidate -> its reward and its mean target, of those that could be measured."""
    means = {
        row.loss: mean(row.values(study.target))
        for row in rows
        if row.setting is setting and row.runs
    }
    return {
        one.spec.name: (one.reward, means[one.spec.name])
        for one in study.candidates
        if math.isfinite(means.get(one.spec.name, math.nan))
    }


def mean(values: Sequence[float]) -> float:
    """NaN for none."""
    return math.fsum(values) / len(values) if values else math.nan


def deviation(values: Sequence[float]) -> float:
    """Sample standard deviation; NaN for fewer than two."""
    if len(values) < 2:
        return math.nan
    centre = mean(values)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1))
