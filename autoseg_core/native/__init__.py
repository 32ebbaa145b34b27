"""The same mathematics in C++ and in Triton, as operations that PyTorch knows.

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

_logger = logging.getLogger(__name__)


def load(folder: Path) -> str:
    """Load a folder's kernels for this machine's instruction set; "" or why there are none."""
    names = (torch.backends.cpu.get_cpu_capability().lower(), "default")
    paths = [path for name in names if (path := folder / f"kernels_{name}.so").is_file()]
    if not paths:
        return "they are not built"
    try:
        torch.ops.load_library(paths[0])
    except OSError as error:
        return f"they do not fit this PyTorch ({error.__cause__ or error})"
    return ""


_MISSING = load(Path(__file__).parent)
CPU = not _MISSING
"""Whether the C++ kernels can be used on this machine."""


@functools.cache
def say_if_missing() -> None:
    """One log line where the C++ kernels are not there: what is missing, what it costs."""
    if _MISSING:
        _logger.warning(
            "The C++ kernels are not used: %s. On a CPU losses take 25 to 60 times as long, exact "
            "metrics 6 to 17 times. Build them with a C++ compiler: "
            "`pip install --no-build-isolation .` in the project's folder or `make`.",
            _MISSING,
        )
