"""The contracts between a search and what it optimises.

`ProxyTask`: theta, seed, budget -> ProxyResult, one candidate at a time. `TrainingTask`: one
training whose theta may change on the way.

Shapes: D search coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from autoseg_core import PAPER_METRICS, SearchSpace

FLOOR_REWARD = 0.0
"""What a failed candidate earns: the lowest value a score in [0, 1] can take."""

Status = Literal["ok", "failed", "lost"]


class RewardError(ValueError):
    """A task gave no `ProxyResult`, or a reward outside [0, 1], as it would for every theta."""


class LostError(RuntimeError):
    """An evaluation was lost where a reward must follow."""


@dataclass(frozen=True)
class ProxyResult:
    """What one evaluation of one theta gave.

    - "ok": it has a reward. One of NaN or infinity makes it "failed".
    - "failed", because of theta: loss or weights turned non-finite. It earns FLOOR_REWARD.
    - "lost", in spite of theta: an exception, a lost worker, a timeout. It says nothing of theta
      and has no reward: NaN, which no agent is told and no average or comparison contains.

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
    """A cheap stand-in for the real training: equal arguments give an equal result.

    A task may also have these attributes; functions of their names read them:
        space: SearchSpace, the space that its thetas are coordinates of.
        score_names: tuple of str, the names of the scores that it can give, in a fixed order.
        data_errors: tuple of exception types that tell of a missing or wrong file, beside OSError.
    """

    def evaluate(self, theta: NDArray[np.float64], seed: int, budget: float = 1.0) -> ProxyResult:
        """Score theta, (D,) float64 in [0, 1].

        budget, in (0, 1], is the share of the full evaluation to spend: the same training, stopped
        there. A task that has no cheaper form ignores it.

        Numbers that blow up (a loss or weights turned non-finite) are an answer: return
        ``failed(reason)``. Anything else that goes wrong is raised. An OSError, or one of
        ``data_errors``, is to name the file, for every other evaluation would meet it: it ends the
        search.
        """
        ...


class TrainingTask(Protocol):
    """One training run, led step by step; what LossSchedule-v0 makes an episode of.

    Equal calls in an equal order give equal results. A run that has failed has failed for good:
    each further step gives the same, until the next `start`. ``space`` and ``score_names`` as for
    `ProxyTask`.
    """

    def start(self, seed: int) -> ProxyResult:
        """Begin anew: untrained (or warm-started) weights, and the scores they have."""
        ...

    def advance(self, theta: NDArray[np.float64], share: float) -> TrainingStep:
        """Train on with theta (D,) for this share, in (0, 1], of the whole training, and score.

        The network is not reset. RuntimeError before `start`.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of this run depends on: numbers, strings, lists, dicts and tensors."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly where the run that gave `state` was; ValueError for one unlike this."""
        ...


@dataclass(frozen=True)
class TrainingStep:
    """What one step of a training gave.

    Args:
        result: the scores at its end; failed when the training blew up, which ends it.
        loss: mean training loss over the step; NaN when there is none.
    """

    result: ProxyResult
    loss: float = math.nan


def space_of(task: object) -> SearchSpace | None:
    """The task's own search space, or None when it does not say."""
    return getattr(task, "space", None)


def score_names_of(task: object) -> tuple[str, ...]:
    """The scores a task gives; the six of the paper when it does not say."""
    return tuple(getattr(task, "score_names", PAPER_METRICS))


def data_errors_of(task: object) -> tuple[type[Exception], ...]:
    """The types by which a task says that its data is wrong, beside OSError; () by default."""
    return tuple(getattr(task, "data_errors", ()))


def check_budget(budget: float) -> float:
    """budget, a share of the full evaluation; ValueError unless in (0, 1]."""
    if not 0.0 < budget <= 1.0:
        raise ValueError(f"budget is a share and must lie in (0, 1], got {budget}")
    return budget


def check_result(task: object, result: object) -> ProxyResult:
    """result, as a task gave it.

    RewardError for another type or a reward outside [0, 1], LostError for a lost one.
    """
    if not isinstance(result, ProxyResult):
        raise RewardError(
            f"{type(task).__name__} must return a ProxyResult, gave {type(result).__name__}"
        )
    if result.status == "lost":
        raise LostError(result.reason)
    if not 0.0 <= result.reward <= 1.0 + 1e-9:
        raise RewardError(
            f"{type(task).__name__} gave the reward {result.reward:g}; rewards lie in [0, 1]: "
            "divide percent by 100"
        )
    return result


def failed(reason: str) -> ProxyResult:
    """The result of a candidate that blew up: FLOOR_REWARD, no scores, and why."""
    return ProxyResult(FLOOR_REWARD, {}, "failed", reason)


def lost(reason: str) -> ProxyResult:
    """The result of an evaluation that gave none: no reward, no scores, and why."""
    return ProxyResult(math.nan, {}, "lost", reason)


def result_from_json(values: Mapping[str, Any]) -> ProxyResult:
    """The result whose fields a JSON file holds; null, which stands for NaN there, becomes NaN."""

    def number(value: float | None) -> float:
        return math.nan if value is None else float(value)

    scores = {name: number(score) for name, score in values["scores"].items()}
    return ProxyResult(number(values["reward"]), scores, values["status"], values["reason"])
