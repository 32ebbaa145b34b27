r"""Compare losses: train each with every seed on every data set with every network, from equal
starts, and print one table.

    python projects/AutoSegLoss/study_net.py --config-file CONFIG [--executor NAME] \\
        [--retry-failed] [KEY VALUE ...]

Finished runs below OUTPUT_DIR are kept; running the command again continues where it stopped. The
status is 1 if a run failed.
"""

from __future__ import annotations

import sys

from auto_seg_loss.runtime.resume import sole_run
from auto_seg_loss.runtime.scripts import (
    explain_user_errors,
    say_how_to_go_on,
    script_parser,
    start_run,
)
from auto_seg_loss.study.matrix import check_study, read_study
from auto_seg_loss.study.run import run_study

FAILED = "failed (trials.jsonl in OUTPUT_DIR says where; --retry-failed repeats them):"


def main() -> None:
    parser = script_parser(__doc__)
    add = parser.add_argument
    add("--resume", action="store_true", help="no effect: a study always resumes")
    add("--retry-failed", action="store_true", help="retrain failed cells")
    add(
        "--executor",
        metavar="NAME",
        help="serial, processes or ray; short for SEARCH.EXECUTOR.NAME",
    )
    arguments = parser.parse_args()
    chosen = ["SEARCH.EXECUTOR.NAME", arguments.executor] if arguments.executor else []
    with explain_user_errors():
        study = read_study(arguments.config_file, [*arguments.opts, *chosen])
        check_study(study)
        with say_how_to_go_on(), sole_run(study.config, "study"):
            start_run(study.config, arguments, verbose=False)
            outcome = run_study(study, arguments.retry_failed)
    print(outcome.text)
    if outcome.failures:
        print("\n".join([FAILED, *outcome.failures]), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
