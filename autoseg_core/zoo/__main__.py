"""Print the zoo of searched losses, or one of them in full.

python -m autoseg_core.zoo
python -m autoseg_core.zoo voc-miou-bezier --format markdown
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from autoseg_core.spec import SpecError
from autoseg_core.zoo import load_spec, zoo_names
from autoseg_core.zoo.table import FORMS, list_losses, show_loss


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m autoseg_core.zoo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    named = "show this loss in full: a zoo name, a metric, or the path of a .json file"
    parser.add_argument("loss", nargs="?", metavar="NAME", help=named)
    parser.add_argument("--format", choices=FORMS, default="plain", help="(default: %(default)s)")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what the command line selects; a mistake in it gives one line and exit code 2."""
    parser = _parser()
    known = parser.parse_args(arguments)
    try:
        if known.loss is None:
            print(list_losses([load_spec(name) for name in zoo_names()], known.format))
        else:
            print(show_loss(load_spec(known.loss), known.format))
    except (SpecError, OSError) as error:
        parser.exit(2, f"{parser.prog}: error: {' '.join(str(error).split())}\n")


if __name__ == "__main__":
    main()
