"""Compare losses: train each with every seed from the same start, and print one table.

    python projects/AutoSegLoss/study_net.py --config-file CONFIG [KEY VALUE ...]

Finished runs below OUTPUT_DIR are kept; running the command again goes on where it stopped.
"""

from __future__ import annotations

from auto_seg_loss.preflight import check_train_data, prepare, script_parser, start_run
from auto_seg_loss.study import check_study, run_study
from auto_seg_loss.user_errors import explain_user_errors, say_how_to_go_on


def main() -> None:
    """Run the study of a config."""
    arguments = script_parser(__doc__).parse_args()
    with explain_user_errors():
        cfg = prepare(arguments, check_study, check_train_data)
        with say_how_to_go_on():
            start_run(cfg, arguments, verbose=False)
            print(run_study(cfg))


if __name__ == "__main__":
    main()
