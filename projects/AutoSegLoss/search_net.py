"""Search for a loss: an agent, such as PPO, shapes the surfaces of a metric's surrogate; its reward
is the exact metric.

    python projects/AutoSegLoss/search_net.py --config-file CONFIG [--resume] [KEY VALUE ...]

Every candidate is on disk before the next one starts; after an interruption, --resume continues and
ends with the same result.
"""

from __future__ import annotations

from auto_seg_loss.proxy import proxy_config, starting_network
from auto_seg_loss.runtime.checks import check_train_data, checked_config
from auto_seg_loss.runtime.scripts import (
    explain_user_errors,
    say_how_to_go_on,
    script_parser,
    start_run,
)
from auto_seg_loss.search import check_search, open_journal, search


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--resume", action="store_true", help="continue OUTPUT_DIR/journal.jsonl")
    arguments = parser.parse_args()
    with explain_user_errors():
        cfg = checked_config(arguments.config_file, arguments.opts, check_train_data, check_search)
        network = starting_network(proxy_config(cfg))
        # Then the journal: it refuses a second search and another config before anything is
        # overwritten.
        with say_how_to_go_on("--resume"), open_journal(cfg, arguments.resume) as journal:
            start_run(cfg, arguments, verbose=False)
            search(cfg, journal, network)


if __name__ == "__main__":
    main()
