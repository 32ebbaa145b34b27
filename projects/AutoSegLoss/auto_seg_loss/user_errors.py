"""Errors a user can mend are shown as one line, not as a traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from auto_seg_loss.data import DatasetError, LabelError, SplitError
from auto_seg_loss.preflight import ConfigError
from autoseg_core import SpecError
from rl.journal import JournalError


@contextmanager
def explain_user_errors() -> Iterator[None]:
    """Print such an error's message to stderr and exit with status 2; others pass through.

    A training that diverged counts as one: its loss or its learning rate is the user's.
    """
    try:
        yield
    except (
        ConfigError,
        DatasetError,
        LabelError,
        SplitError,
        SpecError,
        JournalError,
        FloatingPointError,
        OSError,
    ) as error:
        print(f"error: {_message(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; what is finished is kept", file=sys.stderr)
        sys.exit(130)


def _message(error: Exception) -> str:
    """Its words; of one that a data loader's worker sent, without the worker's traceback."""
    return str(error).rpartition(f"{type(error).__name__}: ")[2].strip()
