"""Libraries that only some losses and networks need: the extras of the installation."""

from __future__ import annotations

import importlib
from types import ModuleType


def require(module: str, extra: str, what: str) -> ModuleType:
    """Import ``module``, which ``what`` needs; ``ValueError`` with the command that installs it.

    A ValueError, since it is a value of the config that cannot be used here.
    """
    library = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != library:
            raise  # it is there, and lacks something itself
        raise ValueError(
            f"{what} needs {library}, which is not installed: pip install -e '.[{extra}]'"
        ) from None
