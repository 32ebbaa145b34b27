"""Actions of the environments <-> search coordinates.

Shapes: D search coordinates.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.error import InvalidAction
from gymnasium.spaces import Box
from numpy.typing import ArrayLike, NDArray


def action_space(dim: int, normalize: bool = False) -> Box[Any]:
    """Box(0, 1, (dim,), float32): the coordinates themselves; normalize: Box(-1, 1)."""
    return Box(-1.0 if normalize else 0.0, 1.0, (dim,), np.float32)


def theta_of(action: ArrayLike, space: Box[Any]) -> NDArray[np.float64]:
    """The theta (D,) float64 in [0, 1] that an action of `action_space` stands for.

    Any array, list or tuple of D numbers within the bounds will do: an action of float64 keeps its
    digits. Box(-1, 1) is mapped by (action + 1) / 2. Raises gymnasium.error.InvalidAction.
    """
    try:
        values = np.array(action, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidAction(
            f"an action is {space.shape[0]} numbers, got {action!r} ({error})"
        ) from None
    if values.shape != space.shape:
        raise InvalidAction(f"an action must have shape {space.shape}, got {values.shape}")
    low, high = float(space.low[0]), float(space.high[0])
    if not np.all((values >= low) & (values <= high)):  # NaN is not
        raise InvalidAction(
            f"each number of an action must lie in [{low:g}, {high:g}], got {values.tolist()}; "
            "clip what an agent's distribution samples beyond"
        )
    theta: NDArray[np.float64] = (values - low) / (high - low)
    return theta
