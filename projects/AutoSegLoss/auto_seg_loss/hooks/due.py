"""When what is not measured at every iteration is due."""

from __future__ import annotations

from typing import Any


def is_due(trainer: Any, period: int) -> bool:
    """Whether the trainer's iteration ends a period, or the training; never with period 0."""
    done = trainer.iter + 1
    return period > 0 and (done % period == 0 or done == trainer.max_iter)
