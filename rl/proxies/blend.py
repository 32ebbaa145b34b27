"""A model of a training, made from the scores of single thetas: for tests of agents on schedules.

It shows whether an agent can control a schedule, not how schedules perform on a network.

Shapes: D search coordinates.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl.proxy import ProxyResult, ProxyTask, TrainingStep, check_result, failed, score_names_of
from rl.shares import add_share


@dataclass
class _State:
    """The state of a training; reward and scores are means of f over the progress so far."""

    seed: int | None = None
    progress: float = 0.0
    reward: float = 0.0
    scores: dict[str, float] = field(default_factory=dict)
    reason: str = ""


class Blend:
    """`TrainingTask` over a task: every step adds its share of the score of its theta alone.

        score(t) = sum over the steps i so far of share_i * f(theta_i, seed),    score(0) = 0

    f is the task's full evaluation, for the reward and for each of its scores. So a constant theta
    ends at exactly f(theta), the best schedule is the best theta held throughout, and the order of
    the steps does not matter: this model has no effects of the order. The loss of a step is
    1 - f(theta_i). A theta that fails on its own fails the training permanently.
    """

    def __init__(self, task: ProxyTask) -> None:
        self.task = task
        self.space = getattr(task, "space", None)
        self.score_names = score_names_of(task)
        self._state = _State()

    def start(self, seed: int) -> ProxyResult:
        """Restart; reward and scores are 0."""
        self._state = _State(seed, scores=dict.fromkeys(self.score_names, 0.0))
        return self._result()

    def advance(self, theta: NDArray[np.float64], share: float) -> TrainingStep:
        """Add this share, in (0, 1], of theta (D,); ValueError past the end of the training.

        RuntimeError before `start`.
        """
        state = self._state
        if state.seed is None:
            raise RuntimeError("this training has not started; call start(seed) first")
        progress = add_share(state.progress, share)
        if state.reason:
            return TrainingStep(failed(state.reason))
        alone = check_result(self.task, self.task.evaluate(theta, state.seed))
        if alone.status == "failed":
            state.reason = alone.reason
            return TrainingStep(failed(state.reason))
        # Running means, not sums: equal values leave a mean untouched to the last bit.
        weight = 1.0 if state.progress == 0.0 else min(1.0, share / progress)
        state.reward += weight * (alone.reward - state.reward)
        for name, score in alone.scores.items():
            mean = state.scores.get(name, 0.0)
            state.scores[name] = mean + weight * (score - mean)
        state.progress = progress
        return TrainingStep(self._result(), 1.0 - alone.reward)

    def state_dict(self) -> dict[str, Any]:
        """Seed, progress, means so far and the reason for a failure: plain values, a copy."""
        return asdict(self._state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly from the `state` of another training."""
        self._state = _State(**{**state, "scores": dict(state["scores"])})

    def _result(self) -> ProxyResult:
        progress = self._state.progress
        scores = {name: progress * mean for name, mean in self._state.scores.items()}
        return ProxyResult(progress * self._state.reward, scores)
