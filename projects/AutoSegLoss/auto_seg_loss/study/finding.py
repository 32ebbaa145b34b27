"""find_loss.py: from a folder of images and a metric to a loss, a table and a verdict."""

from __future__ import annotations

import math
import time
from pathlib import Path

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
from auto_seg_loss.study.finding_plan import (
    BASELINES,
    RATES,
    RESEEDS,
    executor,
    plan,
    say,
    unless_given,
)
from auto_seg_loss.study.finding_report import write_report
from auto_seg_loss.study.finding_setup import options_named, prepared
from auto_seg_loss.study.finding_verdict import Found, few_images
from auto_seg_loss.study.losses import SOFT
from autoseg_core import Objective
from autoseg_core.files import write_whole

ROUNDS = 1000  # more than will be run: the search ends at its time limit


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
    iterations, minutes = plan(cfg, wish, began, len(surrogates))
    shown = wish.output / "predictions"
    comparison = Comparison(
        cfg, iterations, RATES, workers=wish.workers, predictions=shown, rate_seeds=RATE_SEEDS[:1]
    )
    say(f"Baselines, {iterations} iterations each: {', '.join(baselines)}")
    comparison.choose(baselines, [metric])
    say(f"Search: candidates for {minutes} minutes, then its final")
    spec = _search(cfg, wish, iterations, comparison.rate(surrogates[-1], metric), minutes)
    say("Comparison on the test part")
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
    say(
        f"{metric} of two classes sees edges alone, and the inverse of a prediction has the same: "
        f"the loss is searched from {searched} (SEARCH.SURROGATE), rewarded by {metric}, and {own} "
        "is left out"
    )
    return [searched]


def _prepare_data(cfg: CfgNode) -> None:
    """Report on the parts, and compute the features of their images."""
    say("Data")
    print(data_report(cfg), few_images(cfg), sep="", flush=True)
    records = records_of(data_sets(cfg))
    say(f"Features of {len(records)} images")
    feature_store(cfg).prepare([record["file_name"] for record in records])
    save_backbone(cfg, Path(cfg.OUTPUT_DIR) / BACKBONE)


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
        **executor(cfg, wish),
    }
    values = {**unless_given(wish, values), "SOLVER.BASE_LR": rate}
    write_whole(wish.output / "search.yaml", search_config(wish.output, values))
    own = changed(cfg, values)
    path = Path(own.OUTPUT_DIR) / "searched_loss.json"
    if not path.is_file():
        with open_journal(own, resume=path.with_name("journal.jsonl").is_file()) as journal:
            search(own, journal)
    return str(path)
