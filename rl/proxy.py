"""The contract between a search and what it optimises: theta, seed -> ProxyResult.

Shapes: D search coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

FLOOR_REWARD = 0.0
"""What a failed candidate earns: the lowest value a score in [0, 1] can take."""

Status = Literal["ok", "failed"]


@dataclass(frozen=True)
class ProxyResult:
    """What one evaluation of one theta gave.

    ``reward`` is finite, always: a result that claims to be "ok" with a reward of NaN or infinity
    becomes "failed", so no agent, average or maximum further down ever meets one.

    Args:
        reward: the score to maximise, in [0, 1] for a metric; FLOOR_REWARD whenever failed.
        scores: every score that was measured, by name; NaN = not measurable.
        status: "ok" or "failed".
        reason: why it failed; empty when ok.
    """

    reward: float
    scores: dict[str, float] = field(default_factory=dict)
    status: Status = "ok"
    reason: str = ""

    def __post_init__(self) -> None:
        if self.status not in ("ok", "failed"):
            raise ValueError(f"status must be 'ok' or 'failed', got {self.status!r}")
        if self.status == "ok" and not math.isfinite(self.reward):
            object.__setattr__(self, "reason", f"the reward is not finite: {self.reward}")
            object.__setattr__(self, "status", "failed")
        if self.status == "failed":
            object.__setattr__(self, "reward", FLOOR_REWARD)


class ProxyTask(Protocol):
    """A cheap stand-in for the real training: equal theta and seed give an equal result."""

    def evaluate(self, theta: NDArray[np.float64], seed: int) -> ProxyResult:
        """Score theta, (D,) float64 in [0, 1].

        Numbers that blow up (a loss or weights turned non-finite) are an answer: return
        ``failed(reason)``. Anything else that goes wrong is a bug: raise it, the search stops and
        its journal stays resumable.
        """
        ...


def failed(reason: str) -> ProxyResult:
    """The result of a candidate that blew up: FLOOR_REWARD, no scores, and why."""
    return ProxyResult(FLOOR_REWARD, {}, "failed", reason)


def result_to_json(result: ProxyResult) -> dict[str, Any]:
    """ProxyResult -> plain JSON values; scores that are not finite become None."""
    scores = {
        name: float(score) if math.isfinite(score) else None
        for name, score in result.scores.items()
    }
    return {
        "status": result.status,
        "reward": float(result.reward),
        "scores": scores,
        "reason": result.reason,
    }


def result_from_json(values: Mapping[str, Any]) -> ProxyResult:
    """Inverse of `result_to_json`; None among the scores becomes NaN.

    Raises KeyError, TypeError or ValueError for values that `result_to_json` never writes.
    """
    scores = {
        str(name): math.nan if score is None else float(score)
        for name, score in values["scores"].items()
    }
    return ProxyResult(float(values["reward"]), scores, values["status"], str(values["reason"]))
