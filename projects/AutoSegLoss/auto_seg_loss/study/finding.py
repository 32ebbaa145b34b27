"""find_loss.py: from a folder of images and a metric to a loss, a table and a verdict."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode

from auto_seg_loss.config import changed
from auto_seg_loss.data.catalog import data_sets, records_of
from auto_seg_loss.data.report import data_report
from auto_seg_loss.features.backbone import save_backbone
from auto_seg_loss.features.store import feature_store
from auto_seg_loss.runtime.errors import ConfigError, config_errors
from auto_seg_loss.runtime.log_levels import hide_detectron2_lines
from auto_seg_loss.runtime.resume import sole_run
from auto_seg_loss.search import open_journal, search
from auto_seg_loss.search_setup import blind_to_inverse
from auto_seg_loss.study.comparison import RATE_SEEDS, Comparison
from auto_seg_loss.study.finding_configs import BACKBONE, OWN, Wish, search_config
from auto_seg_loss.study.finding_report import write_report
from auto_seg_loss.study.finding_setup import options_named, prepared
from auto_seg_loss.study.finding_verdict import Found, few_images
from auto_seg_loss.study.losses import SOFT
from autoseg_core import Objective
from autoseg_core.files import read_json, write_whole

BASELINES = ("cross_entropy", "dice", "lovasz")
LEAST = 60
"""Minimum iterations of a training; SOLVER.MAX_ITER is the maximum."""
PROBE = 20
"""Iterations of the training that is timed first."""
RATES = (0.3, 1.0, 3.0)
FINALISTS = 3  # cross entropy, the best baseline, the searched loss; and unsearched surrogates
ROUNDS = 1000  # more than will be run: the search ends at its time limit
RESEEDS = 2  # of the search's final, at least: the comparison on the test part has more seeds
SEARCHED = 0.5
"""Share of the time that the search gets."""


def find_loss(wish: Wish) -> str:
    """Run find_loss.py; returns the report. Errors name its options, not config keys."""
    if not 0 < wish.minutes < math.inf:
        raise ConfigError(f"--minutes must be a number > 0, got {wish.minutes:g}.")
    if len(wish.opts) % 2:
        raise ConfigError(f"Expected pairs of KEY VALUE after the options, got {[*wish.opts]}.")
    if taken := [key for key in wish.opts[::2] if key in OWN]:
        raise ConfigError(f"find_loss.py sets {taken[0]} itself: leave it out.")
    with config_errors("--metric"):
        Objective.parse(wish.metric)
    began = time.monotonic()
    # Threads of one process wait for each other; processes and other programs do not.
    torch.set_num_threads(1)
    with options_named():
        with config_errors():
            cfg = prepared(wish)
        hide_detectron2_lines()
        with sole_run(cfg, "find_loss"):
            return _find(cfg, wish, began)


def _find(cfg: CfgNode, wish: Wish, began: float) -> str:
    _prepare_data(cfg)
    metric = str(Objective.parse(wish.metric))
    surrogates = _surrogates(cfg, metric)
    baselines = [*BASELINES, *surrogates]
    iterations, minutes = _plan(cfg, wish, began, len(surrogates))
    shown = wish.output / "predictions"
    comparison = Comparison(
        cfg, iterations, RATES, workers=wish.workers, predictions=shown, rate_seeds=RATE_SEEDS[:1]
    )
    _say(f"Baselines, {iterations} iterations each: {', '.join(baselines)}")
    comparison.choose(baselines, [metric])
    _say(f"Search: candidates for {minutes} minutes, then its final")
    spec = _search(cfg, wish, iterations, comparison.rate(surrogates[-1], metric), minutes)
    _say("Comparison on the test part")
    comparison.choose([spec], [metric])
    best = comparison.best(baselines, metric)
    final = tuple(dict.fromkeys(["cross_entropy", best, *surrogates, spec]))
    comparison.repeat(final, [metric])
    tried = (*baselines, spec)
    return write_report(wish.output, comparison, Found(metric, tried, final, spec))


def _surrogates(cfg: CfgNode, metric: str) -> list[str]:
    """The unsearched surrogates that are compared, that of the search last."""
    own, searched = f"{SOFT}{metric}", f"{SOFT}{Objective.parse(cfg.SEARCH.SURROGATE or metric)}"
    if not blind_to_inverse(cfg) or own == searched:
        return list(dict.fromkeys([own, searched]))
    _say(
        f"{metric} of two classes sees edges alone, and the inverse of a prediction has the same: "
        f"the loss is searched from {searched} (SEARCH.SURROGATE), rewarded by {metric}, and {own} "
        "is left out"
    )
    return [searched]


def _prepare_data(cfg: CfgNode) -> None:
    """Report on the parts, and compute the features of their images."""
    _say("Data")
    print(data_report(cfg), few_images(cfg), sep="", flush=True)
    records = records_of(data_sets(cfg))
    _say(f"Features of {len(records)} images")
    feature_store(cfg).prepare([record["file_name"] for record in records])
    save_backbone(cfg, Path(cfg.OUTPUT_DIR) / BACKBONE)


def _say(what: str) -> None:
    print(f"\n[{time.strftime('%H:%M:%S')}] {what}", flush=True)


def _plan(cfg: CfgNode, wish: Wish, began: float, surrogates: int) -> tuple[int, int]:
    """A plan for the time limit: iterations of every training, minutes of the search.

    surrogates: number of unsearched ones that are compared.
    OUTPUT/plan.json stores it, since a resumed run must have the same.
    """
    path = wish.output / "plan.json"
    if not path.is_file():
        _say("Timing a training")
        each = _seconds_each(cfg)
        spent = time.monotonic() - began
        plan = _fitting(cfg, wish, spent, each, surrogates)
        plan["minutes"] = wish.minutes
        write_whole(path, json.dumps(plan))
    kept = read_json(path, dict[str, float], "give another --output")
    if kept.get("minutes", wish.minutes) != wish.minutes:
        _say(f"--minutes {kept['minutes']:g}, as at the start of this run: for others, --output")
    return int(kept["iterations"]), max(1, round(kept["search_minutes"]))


def _seconds_each(cfg: CfgNode) -> float:
    """Seconds per iteration, measured in a very short training."""
    begin = time.monotonic()
    probe = Comparison(cfg, PROBE, rates=RATES[:1], rate_seeds=RATE_SEEDS[:1])
    probe.choose(BASELINES[:1], [cfg.SEARCH.METRIC])
    return (time.monotonic() - begin) / PROBE


def _fitting(
    cfg: CfgNode, wish: Wish, spent: float, each: float, surrogates: int
) -> dict[str, float]:
    """A plan for the remaining time, in seconds: at least LEAST iterations, even if too many,
    and at most SOLVER.MAX_ITER.

    The search has its share of the time and then a final: the identity, the agent's mean and TOP_K
    candidates.
    """
    rest, most = max(0.0, 60 * wish.minutes - spent), cfg.SOLVER.MAX_ITER
    chosen = (len(BASELINES) + surrogates + 1) * len(RATES)
    trials = chosen + (FINALISTS + surrogates) * Comparison.seeds
    values = {"SEARCH.SELECTION.RESEEDS": RESEEDS, **_executor(cfg, wish)}
    node = changed(cfg, _unless_given(wish, values)).SEARCH
    final = (node.SELECTION.TOP_K + 2) * node.SELECTION.RESEEDS
    searching = 1 if node.EXECUTOR.NAME == "serial" else wish.workers
    # Of an iteration of all trainings:
    cost = each * (trials / wish.workers + final / searching) / (1 - SEARCHED)
    least = min(LEAST, most)
    if rest < least * cost:
        needed = math.ceil((least * cost + spent) / 60)
        _say(
            f"--minutes {wish.minutes:g} is too short for these images, which need {needed} "
            f"minutes by a first timing: trainings have {least} iterations all the same, and the "
            "run takes longer"
        )
    minutes = max(1, round(SEARCHED * rest / 60))  # 0 would be no limit
    return {"iterations": min(most, max(least, int(rest / cost))), "search_minutes": minutes}


def _search(cfg: CfgNode, wish: Wish, iterations: int, rate: float, minutes: int) -> str:
    """Search at the rate of the unsearched surrogate, with its scaling; returns the spec's path.

    Keys on the command line are kept, except the rate.
    """
    values = {
        "SEARCH.PROXY.MAX_ITER": iterations,
        "SEARCH.SCALE_LR": cfg.SOLVER.BASE_LR,
        "SEARCH.ROUNDS": ROUNDS,
        "SEARCH.MINUTES": minutes,
        "SEARCH.SELECTION.RESEEDS": RESEEDS,
        **_executor(cfg, wish),
    }
    values = {**_unless_given(wish, values), "SOLVER.BASE_LR": rate}
    write_whole(wish.output / "search.yaml", search_config(wish.output, values))
    own = changed(cfg, values)
    path = Path(own.OUTPUT_DIR) / "searched_loss.json"
    if not path.is_file():
        with open_journal(own, resume=path.with_name("journal.jsonl").is_file()) as journal:
            search(own, journal)
    return str(path)


def _executor(cfg: CfgNode, wish: Wish) -> dict[str, Any]:
    """Keys that search in as many processes as train; none for stacks or on a GPU, which one
    process keeps busy."""
    if wish.workers == 1 or cfg.SEARCH.PROXY.STACK > 1 or cfg.MODEL.DEVICE != "cpu":
        return {}
    return {"SEARCH.EXECUTOR.NAME": "processes", "SEARCH.EXECUTOR.WORKERS": wish.workers}


def _unless_given(wish: Wish, values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in wish.opts}
