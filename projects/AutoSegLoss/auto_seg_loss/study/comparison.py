"""A comparison of losses: each at its best learning rate on the hold-out, with several seeds.

R: learning rates; S: seeds of the trainings that are reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from detectron2.config import CfgNode

from auto_seg_loss.data.catalog import records_of
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.search_setup import build_sets
from auto_seg_loss.study.jobs import Job, run_jobs, told
from auto_seg_loss.study.losses import SOFT, SOFT_FILES, soft_file
from auto_seg_loss.study.record import RECORD, Record, Trial, comparison_settings
from auto_seg_loss.study.statistics import Difference, paired_difference
from auto_seg_loss.study.trials import run_trial
from autoseg_core import Objective
from autoseg_core.files import file_digest
from rl.executors.base import ExecutorError

RATES = (0.1, 0.3, 1.0, 3.0, 10.0)
"""The grid of learning rates, the same for every loss."""
RATE_SEEDS = (101, 102, 103)
"""Seeds of the trainings that choose rates; the reported ones have other seeds, 1 to S."""
LEADING = 2
"""Number of rates per loss trained with all of these seeds; others only with the first."""


@dataclass(eq=False)
class Comparison:
    """The settings of a comparison, and the record of its trainings, OUTPUT_DIR/trials.jsonl.

    cfg: of the data, the network and the solver. iterations: of every training. rates: (R,) the
    grid. seeds: S, from 1 on. workers: processes. predictions: folder for those of the first
    seed, see ``save_predictions``; None: not saved. every: ``repeat`` also scores the hold-out
    after every this many iterations; 0: only after the last. rate_seeds: of the trainings that
    choose a rate.

    A loss is a name of the loss registry, a name or path for ``load_spec``, or soft:METRIC.
    ``ConfigError`` unless SEARCH.HOLDOUT.DATASETS and DATASETS.TEST name one data set each,
    ``SplitError`` for parts that share images.
    """

    cfg: CfgNode
    iterations: int
    rates: Sequence[float] = RATES
    seeds: int = 5
    workers: int = 1
    predictions: Path | None = None
    every: int = 0
    rate_seeds: Sequence[int] = RATE_SEEDS
    record: Record = field(init=False)

    def __post_init__(self) -> None:
        self.holdout = _sole("SEARCH.HOLDOUT.DATASETS", self.cfg.SEARCH.HOLDOUT.DATASETS)
        self.test = _sole("DATASETS.TEST", self.cfg.DATASETS.TEST)
        train, holdout = build_sets(self.cfg)  # refuses parts that share images
        output, records = Path(self.cfg.OUTPUT_DIR), [*train, *holdout, *records_of([self.test])]
        seeds = (*self.rate_seeds, *range(1, self.seeds + 1))
        self.record = Record(output / RECORD, comparison_settings(self.cfg, records, seeds))
        if not self.record.results:  # from other settings, on which the scale depends
            for left in output.glob(SOFT_FILES):
                left.unlink()
        self._specs: dict[str, tuple[str, str]] = {}

    def choose(self, losses: Sequence[str], metrics: Sequence[str]) -> None:
        """Train each loss at every rate and score it on the hold-out; then repeat the leading
        rates of each metric with the other seeds: one seed may favour an unstable loss."""
        first, *others = self.rate_seeds
        trials = [self._trial(loss, rate, first) for loss in losses for rate in self.rates]
        self._run(trials, (self.holdout,), "learning rates")
        made = ((a, rate) for a in losses for metric in metrics for rate in self._lead(a, metric))
        pairs = list(dict.fromkeys(made))
        trials = [self._trial(*pair, seed) for seed in others for pair in pairs]
        self._run(trials, (self.holdout,), "learning rates, other seeds")

    def rate(self, loss: str, metric: str) -> float:
        """The leading rate with the best mean on the hold-out; ties go to the smallest."""
        leading = sorted(self._lead(loss, metric))
        return max(leading, key=lambda rate: np.mean(self.at_rate(loss, rate, metric)))

    def at_rate(self, loss: str, rate: float, metric: str, by: str = "") -> list[float]:
        """Scores in percent on the hold-out of the trainings by ``choose``: one for each of
        ``rate_seeds`` at a leading rate, one at other rates. by: another metric to score with."""
        leads = rate in self._lead(loss, metric)
        seeds = self.rate_seeds if leads else self.rate_seeds[:1]
        return [self._held_out(loss, rate, seed, by or metric) for seed in seeds]

    def best(self, losses: Sequence[str], metric: str) -> str:
        """The loss with the best mean on the hold-out at its rate; ties go to the first."""
        return max(
            losses, key=lambda loss: np.mean(self.at_rate(loss, self.rate(loss, metric), metric))
        )

    def repeat(self, losses: Iterable[str], metrics: Sequence[str]) -> None:
        """Train each loss with every seed, at its rate for each metric; score on the test part."""
        pairs = {(loss, self.rate(loss, metric)) for loss in losses for metric in metrics}
        seeds = range(1, self.seeds + 1)
        trials = [self._trial(*pair, seed) for seed in seeds for pair in sorted(pairs)]
        self._run(trials, (self.holdout, self.test), "seeds", self.every)

    def scores(self, loss: str, metric: str, by: str = "") -> dict[int, float]:
        """Seed -> score in percent on the test part, at the loss's rate for this metric; by:
        another metric to score with."""
        trials = self._repeated(loss, metric)
        return {trial.seed: 100 * self._score(trial, self.test, by or metric) for trial in trials}

    def mean(self, loss: str, metric: str) -> float:
        return float(np.mean([*self.scores(loss, metric).values()]))

    def curves(self, loss: str, metric: str) -> list[list[tuple[int, float]]]:
        """(S,) curves at the loss's rate for this metric: iterations and scores in percent on the
        hold-out. A training that diverged has one point, of score 0."""
        return [self._curve(trial, metric) for trial in self._repeated(loss, metric)]

    def difference(self, loss: str, other: str, metric: str) -> Difference:
        """``loss`` minus ``other`` on the test part, in points, paired by seed."""
        return paired_difference(self.scores(loss, metric), self.scores(other, metric))

    def shown(self, loss: str, metric: str) -> Path | None:
        """The folder of the loss's predictions at its rate for this metric, if they are saved."""
        return self._shown(self._repeated(loss, metric)[0])

    def _lead(self, loss: str, metric: str) -> list[float]:
        """(min(R, LEADING),) rates, the best by the first seed."""
        scores = {r: self._held_out(loss, r, self.rate_seeds[0], metric) for r in self.rates}
        return sorted(sorted(scores), key=lambda rate: -scores[rate])[:LEADING]

    def _held_out(self, loss: str, rate: float, seed: int, metric: str) -> float:
        return 100 * self._score(self._trial(loss, rate, seed), self.holdout, metric)

    def _repeated(self, loss: str, metric: str) -> list[Trial]:
        rate = self.rate(loss, metric)
        return [self._trial(loss, rate, seed) for seed in range(1, self.seeds + 1)]

    def _trial(self, loss: str, rate: float, seed: int) -> Trial:
        if loss not in self._specs:
            soft = loss.startswith(SOFT)
            name = str(soft_file(self.cfg, loss.removeprefix(SOFT))) if soft else loss
            self._specs[loss] = name, file_digest(Path(name))
        name, digest = self._specs[loss]
        return Trial(name, rate, self.iterations, seed, digest)

    def _shown(self, trial: Trial) -> Path | None:
        return self.predictions / trial.name if self.predictions and trial.seed == 1 else None

    def _run(
        self, trials: Iterable[Trial], score_on: Sequence[str], label: str, every: int = 0
    ) -> None:
        """Run the trials that are not in the record."""
        new = [trial for trial in dict.fromkeys(trials) if not self._made(trial, every)]
        jobs = [
            Job(self.record, trial, self.cfg, (score_on, self._shown(trial), every))
            for trial in new
        ]
        for _ in told(run_jobs(run_trial, jobs, self.workers), label, len(jobs)):
            pass
        results = [self.record.results[trial] for trial in new]
        if reasons := [result["failed"] for result in results if "failed" in result]:
            raise ExecutorError(
                f"{len(reasons)} trainings failed ({reasons[0]}); rerun the command to repeat them."
            )

    def _made(self, trial: Trial, every: int = 0) -> bool:
        result = self.record.results.get(trial, {})
        if "failed" in result or "scores" not in result:
            return False
        asked = range(every, trial.iterations, every) if every and result["scores"] else ()
        return {iteration for iteration, _ in result.get("curve", [])} >= set(asked)

    def _curve(self, trial: Trial, metric: str) -> list[tuple[int, float]]:
        result, objective = self.record.results[trial], Objective.parse(metric)
        points = [point for point in result.get("curve", []) if point[0] % self.every == 0]
        curve = [(iteration, 100 * objective.score(scores)) for iteration, scores in points]
        return [*curve, (trial.iterations, 100 * self._score(trial, self.holdout, metric))]

    def _score(self, trial: Trial, dataset: str, metric: str) -> float:
        """0 for a training that diverged."""
        scores = self.record.results[trial]["scores"]
        return Objective.parse(metric).score(scores[dataset]) if scores else 0.0


def _sole(key: str, names: Sequence[str]) -> str:
    if len(names) != 1:
        raise ConfigError(f"{key} must name one data set, for a comparison; got {list(names)}.")
    return names[0]
