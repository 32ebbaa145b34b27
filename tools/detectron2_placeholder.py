"""Replaces Detectron2's compiled operators (installed as ``detectron2/_C.py``).

Detectron2's layers import ``detectron2._C`` at the top, long before any compiled operator is
needed; semantic segmentation never calls one. With this module the imports succeed, and the first
*use* of a missing operator raises an error that names it and says how to get it.
"""

from __future__ import annotations

from typing import NoReturn

INSTALL_PAGE = "https://detectron2.readthedocs.io/tutorials/install.html"


def __getattr__(name: str) -> NoReturn:
    """Any name not defined below is a missing operator."""
    raise AttributeError(
        f"detectron2._C.{name} is a compiled operator, and this Detectron2 was installed without "
        f"any. Build Detectron2 from upstream's sources to use it: {INSTALL_PAGE}"
    )


# detectron2.utils.collect_env asks these two, and prints the answers.
def get_compiler_version() -> str:
    return "none (installed without compiled operators)"


def get_cuda_version() -> str:
    return "none (installed without compiled operators)"
