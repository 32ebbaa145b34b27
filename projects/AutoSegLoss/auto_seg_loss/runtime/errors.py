"""The error for a user's settings; imports nothing of this project."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


class ConfigError(ValueError):
    """A configuration that cannot be run; the message says which key to change."""


@contextmanager
def config_errors(keys: str = "") -> Iterator[None]:
    """A ``ValueError`` in here becomes a ``ConfigError`` that starts with these keys."""
    try:
        yield
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"{keys}: {error}" if keys else str(error)) from error


def require(module: str, extra: str, what: str) -> ModuleType:
    """Import ``module``, which ``what`` needs; ``ConfigError`` says how to install it."""
    library = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != library:
            raise  # it is installed, but something it needs is not
        raise ConfigError(
            f"{what} needs {library}, which is not installed: pip install -e '.[{extra}]'"
        ) from None
