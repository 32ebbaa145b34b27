"""The plan of find_loss.py: how long its trainings and its search are, by a first timing."""

from __future__ import annotations

import json
import math
import time
from typing import Any

from detectron2.config import CfgNode

from auto_seg_loss.config import changed
from auto_seg_loss.study.comparison import RATE_SEEDS, Comparison
from auto_seg_loss.study.finding_configs import Wish
from autoseg_core.files import read_json, write_whole

BASELINES = ("cross_entropy", "dice", "lovasz")
LEAST = 60
"""Minimum iterations of a training; SOLVER.MAX_ITER is the maximum."""
PROBE = 20
"""Iterations of the training that is timed first."""
RATES = (0.3, 1.0, 3.0)
FINALISTS = 3  # cross entropy, the best baseline, the searched loss; and unsearched surrogates
RESEEDS = 2  # of the search's final, at least: the comparison on the test part has more seeds
SEARCHED = 0.5
"""Share of the time that the search gets."""


def plan(cfg: CfgNode, wish: Wish, began: float, surrogates: int) -> tuple[int, int]:
    """A plan for the time limit: iterations of every training, minutes of the search.

    surrogates: number of unsearched ones that are compared.
    OUTPUT/plan.json stores it, since a resumed run must have the same.
    """
    path = wish.output / "plan.json"
    if not path.is_file():
        say("Timing a training")
        each = _seconds_each(cfg)
        spent = time.monotonic() - began
        made = fitting(cfg, wish, spent, each, surrogates)
        write_whole(path, json.dumps({**made, "minutes": wish.minutes}))
    kept = read_json(path, dict[str, float], "give another --output")
    if kept.get("minutes", wish.minutes) != wish.minutes:
        say(f"--minutes {kept['minutes']:g}, as at the start of this run: for others, --output")
    return int(kept["iterations"]), max(1, round(kept["search_minutes"]))


def _seconds_each(cfg: CfgNode) -> float:
    """Seconds per iteration, measured in a very short training."""
    begin = time.monotonic()
    probe = Comparison(cfg, PROBE, rates=RATES[:1], rate_seeds=RATE_SEEDS[:1])
    probe.choose(BASELINES[:1], [cfg.SEARCH.METRIC])
    return (time.monotonic() - begin) / PROBE


def fitting(
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
    values = {"SEARCH.SELECTION.RESEEDS": RESEEDS, **executor(cfg, wish)}
    node = changed(cfg, unless_given(wish, values)).SEARCH
    final = (node.SELECTION.TOP_K + 2) * node.SELECTION.RESEEDS
    searching = 1 if node.EXECUTOR.NAME == "serial" else wish.workers
    # Of an iteration of all trainings:
    cost = each * (trials / wish.workers + final / searching) / (1 - SEARCHED)
    least = min(LEAST, most)
    if rest < least * cost:
        needed = math.ceil((least * cost + spent) / 60)
        say(
            f"--minutes {wish.minutes:g} is too short for these images, which need {needed} "
            f"minutes by a first timing: trainings have {least} iterations all the same, and the "
            "run takes longer"
        )
    minutes = max(1, round(SEARCHED * rest / 60))  # 0 would be no limit
    return {"iterations": min(most, max(least, int(rest / cost))), "search_minutes": minutes}


def executor(cfg: CfgNode, wish: Wish) -> dict[str, Any]:
    """Keys that search in as many processes as train; none for stacks or on a GPU, which one
    process keeps busy, or with another executor on the command line."""
    named = "SEARCH.EXECUTOR.NAME" in wish.opts
    if named or wish.workers == 1 or cfg.SEARCH.PROXY.STACK > 1 or cfg.MODEL.DEVICE != "cpu":
        return {}
    return {"SEARCH.EXECUTOR.NAME": "processes", "SEARCH.EXECUTOR.WORKERS": wish.workers}


def unless_given(wish: Wish, values: dict[str, Any]) -> dict[str, Any]:
    """The values whose keys the command line does not give."""
    return {key: value for key, value in values.items() if key not in wish.opts}


def say(what: str) -> None:
    """Print a line with the time."""
    print(f"\n[{time.strftime('%H:%M:%S')}] {what}", flush=True)
