"""Silence around many short trainings, so that a progress bar and a table remain readable."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LOGGERS = ("detectron2", "fvcore", "auto_seg_loss")


@contextmanager
def quiet() -> Iterator[None]:
    """Drop all records of Detectron2 and of this project, also its report of a handled error."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def hush_detectron2() -> None:
    """From now on only this project's own lines, and warnings, reach the terminal."""
    for handler in _console_handlers(("detectron2", "fvcore")):
        handler.setLevel(logging.WARNING)


@contextmanager
def quiet_console() -> Iterator[None]:
    """Keep INFO lines off the terminal; warnings pass, and log files still get everything."""
    handlers = _console_handlers(LOGGERS)
    levels = [handler.level for handler in handlers]
    for handler in handlers:
        handler.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for handler, level in zip(handlers, levels, strict=True):
            handler.setLevel(level)


def _console_handlers(names: tuple[str, ...]) -> list[logging.StreamHandler[Any]]:
    return [
        handler
        for name in names
        for handler in logging.getLogger(name).handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream in (sys.stdout, sys.stderr)
    ]
