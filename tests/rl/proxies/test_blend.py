"""A model of a training: shares of what each theta earns alone. State: test_loss_schedule.py."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rl.proxies import Quadratic
from rl.proxies.blend import Blend

GOOD, BAD = np.array([0.5, 0.5]), np.array([0.1, 0.9])


def _task(noise: float = 0.0) -> Quadratic:
    return Quadratic([0.5, 0.5], noise=noise, fails=lambda theta: bool(theta[0] > 0.95))


def test_scores_by_hand() -> None:
    task = _task()
    training = Blend(task)
    assert training.start(0).scores == {"reward": 0.0, "rmse": 0.0}
    alone = [task.evaluate(theta, 0) for theta in (GOOD, BAD)]
    training.advance(GOOD, 0.25)
    step = training.advance(BAD, 0.75)
    assert step.result.reward == pytest.approx(0.25 * alone[0].reward + 0.75 * alone[1].reward)
    assert step.result.scores["rmse"] == pytest.approx(0.75 * alone[1].scores["rmse"])
    assert step.loss == 1 - alone[1].reward


@pytest.mark.parametrize("steps", [1, 3, 7, 10, 1000])
def test_a_constant_theta_ends_at_exactly_its_own_score(steps: int) -> None:
    task = _task(noise=0.1)
    training = Blend(task)
    training.start(5)
    for _ in range(steps):
        step = training.advance(BAD, 1 / steps)
    assert step.result == task.evaluate(BAD, 5)


def test_failure_ends_it_until_the_next_start() -> None:
    training = Blend(_task())
    training.start(0)
    step = training.advance(np.array([0.99, 0.5]), 0.5)
    assert step.result.status == "failed" and "configured to fail" in step.result.reason
    assert math.isnan(step.loss)
    assert training.advance(GOOD, 0.5).result.status == "failed"
    training.start(0)
    assert training.advance(GOOD, 0.5).result.status == "ok"


def test_before_the_start_and_past_the_end() -> None:
    training = Blend(_task())
    with pytest.raises(RuntimeError, match=r"call start\(seed\) first"):
        training.advance(GOOD, 0.5)
    training.start(0)
    training.advance(GOOD, 1.0)
    with pytest.raises(ValueError, match="past the end"):
        training.advance(GOOD, 0.1)
