"""Which log records reach the terminal while many short trainings run."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

LOGGERS = ("detectron2", "fvcore", "auto_seg_loss")


def logs_off() -> AbstractContextManager[None]:
    """Drop all records of Detectron2 and of this project, even reports of handled errors."""
    return _at_level([logging.getLogger(name) for name in LOGGERS], logging.CRITICAL)


def only_warnings() -> AbstractContextManager[None]:
    """Keep INFO lines off the terminal; warnings pass, and log files still get everything."""
    return _at_level(_console_handlers(LOGGERS), logging.WARNING)


def hide_detectron2_lines() -> None:
    """From now on only this project's lines, and warnings, reach the terminal."""
    for handler in _console_handlers(("detectron2", "fvcore")):
        handler.setLevel(logging.WARNING)


@contextmanager
def _at_level(items: Sequence[logging.Logger | logging.Handler], level: int) -> Iterator[None]:
    before = [item.level for item in items]
    for item in items:
        item.setLevel(level)
    try:
        yield
    finally:
        for item, old in zip(items, before, strict=True):
            item.setLevel(old)


def _console_handlers(names: tuple[str, ...]) -> list[logging.StreamHandler[Any]]:
    return [
        handler
        for name in names
        for handler in logging.getLogger(name).handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream in (sys.stdout, sys.stderr)
    ]
