"""The error of a user's settings, below everything that raises it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class ConfigError(ValueError):
    """A configuration that cannot be run; the message says which key to change."""


@contextmanager
def config_errors(keys: str = "") -> Iterator[None]:
    """A ``ValueError`` in here becomes a ``ConfigError``, which begins with the keys it is about
    unless its message names them."""
    try:
        yield
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"{keys}: {error}" if keys else str(error)) from error
