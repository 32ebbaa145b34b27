"""The comparison of docs/protocol.md: rates by the hold-out, seeds, paired differences on the test.

Letters: M metrics, L losses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from detectron2.config import CfgNode
from tabulate import tabulate

from auto_seg_loss.errors import ConfigError
from auto_seg_loss.fair.trials import Book, Scores, Trial, run_trials
from auto_seg_loss.study.statistics import mean_and_spread, paired_difference
from auto_seg_loss.trainer import metrics_of
from autoseg_core import LossSpec, search_space

RATE_SEED = 101
"""Seed of the trainings that choose a learning rate; those that are reported have others."""
SOFT = "soft:"
"""How the name of an unsearched surrogate begins."""


def compare_losses(
    cfg: CfgNode,
    losses: Sequence[str],
    *,
    iterations: int,
    rates: Sequence[float],
    seeds: int,
    workers: int = 1,
) -> str:
    """Train every loss as the protocol says, and return its tables as Markdown.

    losses: see compare_losses.py; the first is what the others are compared with. The record is
    OUTPUT_DIR/trials.jsonl. seeds 0: only the table of learning rates.
    """
    if not cfg.SEARCH.HOLDOUT.DATASETS:
        raise ConfigError("SEARCH.HOLDOUT.DATASETS must name the data set that chooses the rates.")
    holdout, test = cfg.SEARCH.HOLDOUT.DATASETS[0], cfg.DATASETS.TEST[0]
    book = Book(Path(cfg.OUTPUT_DIR) / "trials.jsonl")
    names = {loss: _spec_of(cfg, loss) for loss in losses}
    first = [Trial(names[one], rate, iterations, RATE_SEED) for one in losses for rate in rates]
    run_trials(cfg, first, (holdout,), book, workers=workers, label="learning rates")
    metrics = metrics_of(cfg)
    tables = [_rate_table(book, names, rates, iterations, holdout, metrics[0])]
    if seeds:
        chosen = {
            (loss, metric): _best_rate(book, names[loss], rates, iterations, holdout, metric)
            for loss in losses
            for metric in metrics
        }
        pairs = sorted({(loss, rate) for (loss, _), rate in chosen.items()})
        last = [
            Trial(names[loss], rate, iterations, seed)
            for seed in range(1, seeds + 1)
            for loss, rate in pairs
        ]
        run_trials(cfg, last, (holdout, test), book, workers=workers, label="seeds")

        def values(loss: str, metric: str) -> list[float]:
            rate = chosen[loss, metric]
            trials = [Trial(names[loss], rate, iterations, seed) for seed in range(1, seeds + 1)]
            return [100 * _score(book.records[trial], test, metric) for trial in trials]

        tables += [_score_table(losses, metric, chosen, values) for metric in metrics]
    return "\n\n".join(tables) + "\n"


def _spec_of(cfg: CfgNode, loss: str) -> str:
    """What a trial calls a loss: an unsearched surrogate becomes a file of OUTPUT_DIR."""
    if not loss.startswith(SOFT):
        return loss
    metric = loss.removeprefix(SOFT)
    space = search_space(metric)
    path = Path(cfg.OUTPUT_DIR) / f"soft-{metric}.json"
    settings = {"tolerance": cfg.SEARCH.TOLERANCE}
    LossSpec.from_theta(f"soft-{metric}", space, space.identity(), **settings).save(path)
    return str(path)


def _score(scores: Scores, dataset: str, metric: str) -> float:
    """Of one training; 0 for one that diverged."""
    return scores[dataset][metric] if scores else 0.0


def _best_rate(
    book: Book, name: str, rates: Sequence[float], iterations: int, holdout: str, metric: str
) -> float:
    """The learning rate with the best score on the hold-out; of equals the smallest."""

    def of(rate: float) -> float:
        return _score(book.records[Trial(name, rate, iterations, RATE_SEED)], holdout, metric)

    return max(sorted(rates), key=of)


def _rate_table(
    book: Book,
    names: dict[str, str],
    rates: Sequence[float],
    iterations: int,
    holdout: str,
    metric: str,
) -> str:
    rows = [
        [loss]
        + [
            100 * _score(book.records[Trial(name, rate, iterations, RATE_SEED)], holdout, metric)
            for rate in rates
        ]
        for loss, name in names.items()
    ]
    headers = [f"{metric}, hold-out", *(f"{rate:g}" for rate in rates)]
    return tabulate(rows, headers, tablefmt="github", floatfmt=".1f")


def _score_table(losses, metric, chosen, values) -> str:  # type: ignore[no-untyped-def]
    """One row per loss: its rate, scores on the test, and the difference from the first."""
    reference = values(losses[0], metric)
    rows = []
    for loss in losses:
        own = values(loss, metric)
        difference = "" if loss == losses[0] else str(paired_difference(own, reference))
        rows.append([loss, f"{chosen[loss, metric]:g}", mean_and_spread(own), difference])
    rows.sort(key=lambda row: -float(str(row[2]).split()[0]) if row[2] != "-" else math.inf)
    headers = [f"{metric}, test", "rate", "score", f"less {losses[0]}"]
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)
