"""Search a loss: PPO over the surfaces of a metric's surrogate, rewarded with the exact metric.

    python projects/AutoSegLoss/search_net.py --config-file CONFIG [--resume] [KEY VALUE ...]

Every candidate is on the disk before the next starts; after an interruption, --resume goes on and
ends with the same result.
"""

from __future__ import annotations

import argparse

from auto_seg_loss.preflight import check_train_data, prepare, start_run
from auto_seg_loss.search import check_search, open_journal, search
from auto_seg_loss.user_errors import explain_user_errors


def parse_arguments() -> argparse.Namespace:
    """Command line of this script."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-file", required=True, metavar="FILE", help="YAML config")
    parser.add_argument("--resume", action="store_true", help="go on with OUTPUT_DIR/journal.jsonl")
    parser.add_argument(
        "opts", nargs=argparse.REMAINDER, help="KEY VALUE pairs, as in train_net.py"
    )
    return parser.parse_args()


def main() -> None:
    """Run the search of a config."""
    arguments = parse_arguments()
    with explain_user_errors():
        cfg = prepare(arguments, check_train_data, check_search)
        # The journal first: it refuses a second search and another config before anything is
        # written over.
        with open_journal(cfg, arguments.resume) as journal:
            start_run(cfg, arguments, verbose=False)
            search(cfg, journal)


if __name__ == "__main__":
    main()
