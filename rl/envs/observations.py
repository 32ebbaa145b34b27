"""Flat observations made of named fields: the one place that knows where a field lies.

Shapes: L numbers of an observation, S scores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import ArrayLike, NDArray

Observation = NDArray[np.float32]

UNKNOWN = -1.0
"""Stands for a score or loss that was not measured, or not yet."""


@dataclass(frozen=True)
class Field:
    """A run of ``size`` numbers of an observation, each in [low, high]."""

    name: str
    size: int
    low: float
    high: float


def observation_space(fields: Sequence[Field]) -> Box[Any]:
    """The float32 Box (L,) of the fields laid end to end."""
    low = np.concatenate([np.full(field.size, field.low, np.float32) for field in fields])
    high = np.concatenate([np.full(field.size, field.high, np.float32) for field in fields])
    return Box(low, high, dtype=np.float32)


def field_slices(fields: Sequence[Field]) -> dict[str, slice]:
    """name -> where the field lies: ``observation[slices["scores"]]``."""
    ends = np.cumsum([field.size for field in fields]).tolist()
    return {
        field.name: slice(end - field.size, end) for field, end in zip(fields, ends, strict=True)
    }


def pack(fields: Sequence[Field], values: Mapping[str, ArrayLike]) -> Observation:
    """A value for each field -> observation (L,) float32, clipped to the fields' bounds.

    Raises KeyError for a missing field, ValueError for one of another size.
    """
    parts = []
    for field in fields:
        part = np.atleast_1d(np.asarray(values[field.name], dtype=np.float32))
        if part.shape != (field.size,):
            raise ValueError(f"{field.name} must have {field.size} numbers, got {part.shape}")
        parts.append(part.clip(np.float32(field.low), np.float32(field.high)))
    return np.concatenate(parts)


def measured(scores: Mapping[str, float]) -> dict[str, float]:
    """The scores that were measurable, as Python floats."""
    return {name: float(score) for name, score in scores.items() if math.isfinite(score)}


def score_vector(scores: Mapping[str, float], names: Sequence[str]) -> NDArray[np.float64]:
    """Scores (S,) in the order of names: clipped to [0, 1], UNKNOWN where not measured."""
    known = measured(scores)
    return np.array([np.clip(known[name], 0, 1) if name in known else UNKNOWN for name in names])
