"""Stands where Detectron2 keeps its compiled operators (installed as ``detectron2/_C.py``).

Detectron2's layers import ``detectron2._C`` at the top, long before any compiled operator is
needed; semantic segmentation never calls one. This module lets those imports pass, and makes the
first *use* of a missing operator say which one it is and where to get a Detectron2 that has it.
"""

from __future__ import annotations

from typing import NoReturn

import torch

INSTALL_PAGE = "https://detectron2.readthedocs.io/tutorials/install.html"


class MissingOperator(NotImplementedError, AttributeError):
    """A compiled operator was used. An AttributeError too, so that ``hasattr`` tells the truth."""


def _missing(name: str) -> MissingOperator:
    return MissingOperator(
        f"detectron2._C.{name} is a compiled operator, and this Detectron2 was installed without "
        f"any. Build Detectron2 from upstream's sources to use it: {INSTALL_PAGE}"
    )


def __getattr__(name: str) -> NoReturn:
    """Every name that is not defined below is an operator that is missing here."""
    if name.startswith("__"):  # the import system and inspect probe for these
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    raise _missing(name)


# detectron2.utils.collect_env asks these three, and prints the answers.
def get_compiler_version() -> str:
    return "none (installed without compiled operators)"


def get_cuda_version() -> str:
    return "none (installed without compiled operators)"


def has_cuda() -> bool:
    return False


# One operator is not reached through this module: layers/nms.py calls it as
# torch.ops.detectron2.nms_rotated.
def _nms_rotated(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    raise _missing("nms_rotated")


if not hasattr(torch.ops.detectron2, "nms_rotated"):  # a module may be loaded twice
    _library = torch.library.Library("detectron2", "FRAGMENT")  # lives as long as this name does
    _library.define("nms_rotated(Tensor boxes, Tensor scores, float iou_threshold) -> Tensor")
    _library.impl("nms_rotated", _nms_rotated, "CompositeImplicitAutograd")
