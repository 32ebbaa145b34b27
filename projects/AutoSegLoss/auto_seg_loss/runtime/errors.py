"""The error of a user's settings, below everything that raises it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


class ConfigError(ValueError):
    """A configuration that cannot be run; the message says which key to change."""


@contextmanager
def config_errors(keys: str = "") -> Iterator[None]:
    """A ``ValueError`` in here becomes a ``ConfigError`` that begins with the keys it is about."""
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
            raise  # it is there, and lacks something itself
        raise ConfigError(
            f"{what} needs {library}, which is not installed: pip install -e '.[{extra}]'"
        ) from None
