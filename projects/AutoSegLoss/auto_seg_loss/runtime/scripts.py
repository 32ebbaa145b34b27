"""The frame of a script: arguments, logs, and final messages.

Errors that a user can fix are one line, not a traceback; so is an interruption, which says how to
continue.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os.path import expanduser

from detectron2.config import CfgNode
from detectron2.engine import default_setup
from detectron2.utils import comm
from detectron2.utils.logger import setup_logger

from auto_seg_loss.data import DATA_ERRORS, SplitError
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.runtime.log_levels import LOGGERS, hide_detectron2_lines
from autoseg_core import SpecError
from autoseg_core.files import DamagedFileError
from rl.executors import ExecutorError
from rl.journal import JournalError
from rl.search import SearchError
from rl.selection import NoVerdictError
from rl.signals import Interrupted, end_at_once, interruptible


@contextmanager
def explain_user_errors() -> Iterator[None]:
    """Print the message of such an error to stderr and exit with status 2; others pass through.

    A diverged training counts as one: its loss and learning rate are the user's. SIGINT and SIGTERM
    end the block like an exception, with status 130 or 143.
    """
    try:
        with interruptible(), _stopping("nothing was started"):
            yield
    except (
        ConfigError,
        DamagedFileError,
        *DATA_ERRORS,
        SplitError,
        SpecError,
        ExecutorError,
        JournalError,
        SearchError,
        NoVerdictError,
        FloatingPointError,
        OSError,
    ) as error:
        print(f"error: {_message(error)}", file=sys.stderr)
        sys.exit(2)


@contextmanager
def say_how_to_go_on(*options: str) -> Iterator[None]:
    """An interruption in here prints the command to continue: the current one with ``options``.

    Use it inside ``explain_user_errors``, around the part that can be resumed.
    """
    missing = [option for option in options if option not in sys.argv]
    command = shlex.join([sys.orig_argv[0], sys.argv[0], *missing, *sys.argv[1:]])
    with _stopping(f"anything saved is kept; continue with: {command}"):
        yield


@contextmanager
def _stopping(outcome: str) -> Iterator[None]:
    """An interruption in here ends the script with this message."""
    try:
        yield
    except Interrupted as stop:
        end_at_once()
        for process in multiprocessing.active_children():
            if not process.daemon:  # other GPUs' processes, which Python would wait for
                process.terminate()
        print(f"interrupted; {outcome}", file=sys.stderr)
        sys.exit(stop.exit_code)


def _message(error: Exception) -> str:
    """The error's message, without the traceback of a data loader's worker."""
    if isinstance(error, FloatingPointError):
        first = (str(error).splitlines() or ["the training diverged."])[0]
        return f"{first} Lower SOLVER.BASE_LR, or set SOLVER.CLIP_GRADIENTS.ENABLED True."
    return str(error).rpartition(f"{type(error).__name__}: ")[2].strip()


def script_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with ``--config-file`` and KEY VALUE pairs; scripts add their own options."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--config-file", required=True, type=expanduser, metavar="FILE", help="YAML config")
    add("opts", nargs=argparse.REMAINDER, help="KEY VALUE pairs that override the config")
    return parser


def at_least(least: int) -> Callable[[str], int]:
    """An argparse type: an integer >= ``least``."""

    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"expected {least} or more, got {text}")
        return int(text)

    return number


def start_run(cfg: CfgNode, args: argparse.Namespace, *, verbose: bool = True) -> None:
    """Output directory, log files, config.yaml and seeds: Detectron2's setup, and our logger.

    Without ``verbose`` Detectron2's INFO lines go to the log file only.
    """
    for name in LOGGERS:
        # Detectron2 caches its loggers by these arguments, which are those of default_setup.
        named = {} if name == "detectron2" else {"name": name}
        setup_logger(cfg.OUTPUT_DIR, distributed_rank=comm.get_rank(), **named)
    if not verbose:
        hide_detectron2_lines()
    default_setup(cfg, args)
