"""The interfaces between a search and the problem that it optimises.

`ProxyTask`: theta, seed, budget -> ProxyResult, one candidate at a time. `TrainingTask`: one
training whose theta may change during it.

Shapes: D search coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from autoseg_core import PAPER_METRICS
from rl.shares import ROUNDING

FLOOR_REWARD = 0.0
"""The reward of a failed candidate: the lowest value of a score in [0, 1]."""


Status = Literal["ok", "failed", "lost"]


class RewardError(ValueError):
    """A task returned no `ProxyResult`, or a reward outside [0, 1], as it would for every theta."""


class LostError(RuntimeError):
    """An evaluation was lost where a reward must follow."""


@dataclass(frozen=True)
class ProxyResult:
    """The result of one evaluation of one theta.

    - "ok": it has a reward. A reward of NaN or infinity makes it "failed".
    - "failed", because of theta: loss or weights became non-finite. Its reward is FLOOR_REWARD.
    - "lost", for other reasons: an exception, a lost worker, a timeout. It says nothing about theta
      and has no reward: NaN, which is not told to agents and is in no average or comparison.

    Args:
        reward: the score to maximise, in [0, 1] for a metric; see above.
        scores: every score that was measured, by name; NaN = not measurable. They are recorded as
            they are, percent or losses too, and observed clipped to [0, 1]; the reward decides.
        status: "ok", "failed" or "lost".
        reason: why it failed or was lost; empty when ok.
    """

    reward: float
    scores: dict[str, float] = field(default_factory=dict)
    status: Status = "ok"
    reason: str = ""

    def __post_init__(self) -> None:
        if self.status not in get_args(Status):
            raise ValueError(f"status must be 'ok', 'failed' or 'lost', got {self.status!r}")
        if self.status == "ok" and not math.isfinite(self.reward):
            object.__setattr__(self, "reason", f"the reward is not finite: {self.reward}")
            object.__setattr__(self, "status", "failed")
        if self.status != "ok":
            floor = FLOOR_REWARD if self.status == "failed" else math.nan
            object.__setattr__(self, "reward", floor)


class ProxyTask(Protocol):
    """A cheap substitute for the real training: equal arguments give an equal result.

    A task may also have these attributes:
        space: SearchSpace, the space of its thetas.
        score_names: tuple of str, the names of its scores, in a fixed order.
        data_errors: tuple of exception types, besides OSError, for missing or wrong files.
    """

    def evaluate(self, theta: NDArray[np.float64], seed: int, budget: float = 1.0) -> ProxyResult:
        """Score theta, (D,) float64 in [0, 1].

        budget, in (0, 1], is the share of the full evaluation to spend: the same training, stopped
        there. A task without a cheaper form ignores it.

        A non-finite loss or weight is a result: return ``failed(reason)``. Raise an exception for
        any other problem. An OSError, or one of ``data_errors``, should name the file; it ends the
        search, since every other evaluation would hit it too.
        """
        ...


class TrainingTask(Protocol):
    """One training run, step by step: an episode of LossSchedule-v0.

    Equal calls in an equal order give equal results. A failed run stays failed: each further step
    gives the same result, until the next `start`. ``space`` and ``score_names`` as for
    `ProxyTask`.
    """

    def start(self, seed: int) -> ProxyResult:
        """Restart from untrained (or warm-started) weights; returns their scores."""
        ...

    def advance(self, theta: NDArray[np.float64], share: float) -> TrainingStep:
        """Continue with theta (D,) for this share, in (0, 1], of the whole training, and score.

        The network is not reset. RuntimeError before `start`.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything the rest of the run depends on: numbers, strings, lists, dicts and tensors."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly from the `state` of another run; ValueError if it does not match."""
        ...


@dataclass(frozen=True)
class TrainingStep:
    """The result of one step of a training.

    result: the scores at its end; failed if the training diverged, which ends it. loss: mean
    training loss over the step; NaN if there is none.
    """

    result: ProxyResult
    loss: float = math.nan


def score_names_of(task: object) -> tuple[str, ...]:
    """The names of a task's scores; by default the paper's six."""
    return tuple(getattr(task, "score_names", PAPER_METRICS))


def check_result(task: object, result: object) -> ProxyResult:
    """A task's result, checked.

    RewardError for another type or a reward outside [0, 1], LostError for a lost one.
    """
    if not isinstance(result, ProxyResult):
        raise RewardError(
            f"{type(task).__name__} must return a ProxyResult, got {type(result).__name__}"
        )
    if result.status == "lost":
        raise LostError(result.reason)
    if not 0.0 <= result.reward <= 1.0 + ROUNDING:
        raise RewardError(
            f"{type(task).__name__} gave the reward {result.reward:g}; rewards lie in [0, 1]: "
            "divide percent by 100"
        )
    return result


def failed(reason: str) -> ProxyResult:
    """The result of a candidate that diverged: FLOOR_REWARD, no scores, and the reason."""
    return ProxyResult(FLOOR_REWARD, {}, "failed", reason)


def lost(reason: str) -> ProxyResult:
    """The result of a lost evaluation: no reward, no scores, and the reason."""
    return ProxyResult(math.nan, {}, "lost", reason)


def result_from_json(values: Mapping[str, Any]) -> ProxyResult:
    """The result with the fields from a JSON file; null, which stands for NaN, becomes NaN."""

    def number(value: float | None) -> float:
        return math.nan if value is None else float(value)

    scores = {name: number(score) for name, score in values["scores"].items()}
    return ProxyResult(number(values["reward"]), scores, values["status"], values["reason"])
