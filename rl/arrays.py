"""A check of arrays from outside: from agents and users of environments."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def checked_array(
    what: str,
    values: ArrayLike,
    shape: tuple[int, ...],
    low: float,
    high: float,
    error: type[Exception] = ValueError,
) -> NDArray[np.float64]:
    """A copy of values, float64; ``error`` unless it has this shape and lies in [low, high].

    The error names ``what`` and the first wrong value; NaN counts as wrong.
    """
    array: NDArray[np.float64] = np.array(values, dtype=np.float64)
    if array.shape != shape:
        raise error(f"{what}: expected an array of shape {shape}, got {array.shape}")
    wrong = np.argwhere(~((array >= low) & (array <= high)))
    if wrong.size:
        first = tuple(wrong[0].tolist())
        raise error(
            f"{what}: expected an array of shape {shape} in [{low:g}, {high:g}], got "
            f"{float(array[first])!r} at {list(first)}; {len(wrong)} of {array.size} numbers are "
            "outside"
        )
    return array
