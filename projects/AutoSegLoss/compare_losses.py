r"""Compare losses fairly: each at its own learning rate, with several seeds, on held-out images.

    python projects/AutoSegLoss/compare_losses.py --config-file CONFIG --losses A,B,... \
        [--found LOSS] [--metrics A,B,...] [--iterations N] [--rates R,R,...] [--seeds N] \
        [--curve N] [--workers N] [KEY VALUE ...]

A loss is a name in the loss registry, a name for load_spec, the path of a spec, or soft:METRIC, the
unsearched surrogate. Learning rates are chosen on SEARCH.HOLDOUT.DATASETS, each with one seed and
the two best with two more; scores are those on DATASETS.TEST. OUTPUT_DIR/trials.jsonl holds every
training; a second call runs only new ones. --found adds a table and a sentence on what that loss
gains over the first, the best and the unsearched of the others; --curve adds a table of iterations
that each loss needs to reach the first one's final score on the hold-out; a later N that is not a
multiple of the first repeats these trainings. The rules are those of docs/protocol.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from auto_seg_loss.config import changed
from auto_seg_loss.evaluation import metrics_of
from auto_seg_loss.runtime.checks import check_train_data, checked_config
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.runtime.scripts import (
    at_least,
    explain_user_errors,
    say_how_to_go_on,
    script_parser,
    start_run,
)
from auto_seg_loss.study.comparison import RATES, Comparison
from auto_seg_loss.study.losses import canonical_loss, canonical_metric
from auto_seg_loss.study.record import RECORD, kept_metrics, reported
from auto_seg_loss.study.tables import compare
from autoseg_core import Objective


def main() -> None:
    arguments = _parser().parse_args()
    with explain_user_errors(), say_how_to_go_on():
        cfg = checked_config(arguments.config_file, arguments.opts, check_train_data)
        asked = arguments.metrics.split(",") if arguments.metrics else metrics_of(cfg)
        metrics = [canonical_metric(metric) for metric in asked]
        scores = {name: None for one in metrics for name in Objective.parse(one).metrics}
        scores |= dict.fromkeys(kept_metrics(Path(cfg.OUTPUT_DIR) / RECORD))
        new = [name for name in scores if name not in reported(cfg)]
        cfg = changed(cfg, {"TEST.METRICS": (*cfg.TEST.METRICS, *new)})
        found = arguments.found and canonical_loss(arguments.found)
        losses = [canonical_loss(loss) for loss in arguments.losses.split(",")]
        losses = list(dict.fromkeys([*losses, *([found] if found else [])]))
        if losses == [found]:
            raise ConfigError("--losses must name a loss other than that of --found.")
        start_run(cfg, arguments, verbose=False)
        comparison = Comparison(
            cfg,
            arguments.iterations or cfg.SOLVER.MAX_ITER,
            arguments.rates,
            arguments.seeds,
            arguments.workers,
            every=arguments.curve,
        )
        report = compare(comparison, losses, metrics, found)
    (Path(cfg.OUTPUT_DIR) / "comparison.md").write_text(report, encoding="utf-8")
    print(report)


def _parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    add, count = parser.add_argument, at_least(0)
    add("--losses", required=True, metavar="A,B,...", help="losses to compare, the reference first")
    add("--found", default="", metavar="LOSS", help="show this loss's gains over the others")
    add("--metrics", default="", metavar="A,B,...", help="metrics to compare by (default: the six)")
    add(
        "--iterations",
        type=count,
        default=0,
        help="iterations of every training (default: SOLVER.MAX_ITER)",
    )
    add("--rates", type=_numbers, default=RATES, help="learning rates (default: %(default)s)")
    add("--seeds", type=count, default=5, help="seeds of every loss (default: %(default)s)")
    add(
        "--curve",
        type=count,
        default=0,
        metavar="N",
        help="also score the hold-out every N iterations",
    )
    add("--workers", type=at_least(1), default=1, help="processes (default: %(default)s)")
    return parser


def _numbers(text: str) -> list[float]:
    numbers = [float(part) for part in text.split(",")]
    if min(numbers) <= 0:
        raise argparse.ArgumentTypeError(f"expected numbers > 0, got {text}")
    return numbers


if __name__ == "__main__":
    main()
