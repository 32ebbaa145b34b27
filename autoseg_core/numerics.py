"""Numerical safeguards: eps (defined only here), safe division, working precision, integers."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor


def whole_number(name: str, value: Any, least: int) -> int:
    """``value`` as an int, NumPy's included; ``ValueError`` for bools, others and < ``least``."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise ValueError(f"{name}: expected a whole number >= {least}, got {value!r}.")
    return number


def working_dtype(dtype: torch.dtype) -> torch.dtype:
    """Precision of probabilities and sums: float64 is kept, everything else becomes float32.

    A batch has up to a few million pixels; bf16 and fp16 cannot count past 256 and 2048.
    """
    return torch.float64 if dtype == torch.float64 else torch.float32


def eps(dtype: torch.dtype) -> float:
    """Spacing of ``dtype`` at one, used as the floor of a square root (see ``surfaces.bezier``)."""
    return float(torch.finfo(dtype).eps)


def tiny(dtype: torch.dtype) -> float:
    """Smallest normal number of ``dtype``; a slope over a narrower piece would overflow."""
    return float(torch.finfo(dtype).tiny)


def safe_divide(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Return ``numerator / denominator``, and 0 where the denominator is below ``tiny``.

    A smaller positive one (the sum of a class that the network no longer predicts) would give a
    quotient whose slope overflows, and infinity times zero is a NaN gradient. Division by infinity
    makes the value and both slopes 0. NaN operands stay NaN.
    """
    nothing = denominator < tiny(denominator.dtype)
    return numerator / denominator.masked_fill(nothing, float("inf"))
