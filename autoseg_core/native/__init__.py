"""The same mathematics in C++ and in Triton, as PyTorch operators.

``operations`` has their schemas, derivatives and shapes; ``csrc/`` computes them on CPUs, the
``triton`` modules on CUDA. The readable forms, which they must equal, are in ``metrics`` and
``surrogates``.
"""

from __future__ import annotations

import functools
import logging
from pathlib import Path

import torch

from autoseg_core.native import operations  # noqa: F401  defines what the kernels implement

SETS = ("avx512", "avx2", "default")
"""Instruction sets with kernels, fastest first."""
SCHEMAS = 2
"""Version of the operations' arguments, in library names: other versions are not loaded."""
_VERSION = ".".join(torch.__version__.split(".")[:2])
_logger = logging.getLogger(__name__)


def library(name: str) -> str:
    """File of the kernels for an instruction set and this PyTorch, as setup.py names it."""
    return f"kernels{SCHEMAS}_{name}_torch{_VERSION.replace('.', '_')}.so"


def load(folder: Path) -> tuple[bool, str]:
    """Load a folder's kernels for this machine: whether there are any, and what is missing."""
    own = torch.backends.cpu.get_cpu_capability().lower()
    usable = SETS[SETS.index(own) :] if own in SETS else ("default",)
    names = [library(name) for name in usable]
    why = f"they were not built from these sources for PyTorch {_VERSION}"
    for name in (name for name in names if (folder / name).is_file()):
        try:
            torch.ops.load_library(folder / name)
        except OSError as error:
            why = f"they do not fit this PyTorch ({error.__cause__ or error})"
            continue
        return True, "" if name == names[0] else f"{names[0]} cannot be used, and {name} is slower"
    return False, why


CPU, _MISSING = load(Path(__file__).parent)
"""Whether C++ kernels work on this machine, and why they, or the fastest ones, do not."""


@functools.cache
def say_if_missing() -> None:
    """Log one line if C++ kernels are missing: the reason and the cost."""
    if _MISSING:
        cost = "" if CPU else "On a CPU losses take 20 to 50 times as long, exact metrics 15. "
        _logger.warning(
            "The C++ kernels are not %s: %s. %sBuild them with a C++ compiler: "
            "`pip install --no-build-isolation .` in the project's folder or `make venv`.",
            "complete" if CPU else "used",
            _MISSING,
            cost,
        )
