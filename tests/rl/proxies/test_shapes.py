"""A real training: exact, and one on which theta matters. Its state: test_loss_schedule.py."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from autoseg_core import SearchSpace
from rl.proxies.shape_network import warm_start
from rl.proxies.shapes import Shapes

SPACE = SearchSpace("mAcc")
THETA = np.array([0.2, 0.6, 0.3, 0.5, 0.7, 0.4])
SHORT = 4  # iterations


def _short(metric: str = "mAcc", surface: str = "bezier") -> Shapes:
    return Shapes(SearchSpace(metric, surface), iterations=SHORT)


def test_equal_arguments_give_equal_bits_whatever_ran_before() -> None:
    task = _short()
    first = task.evaluate(THETA, 1)
    torch.manual_seed(7)
    task.evaluate(1 - THETA, 2)
    assert task.evaluate(THETA, 1) == first
    assert _short().evaluate(THETA, 1) == first
    assert task.evaluate(THETA, 2) != first
    assert task.evaluate(1 - THETA, 1) != first


def test_global_state_of_torch_is_left_alone() -> None:
    warm_start.cache_clear()
    torch.manual_seed(3)
    random, threads = torch.get_rng_state(), torch.get_num_threads()
    with torch.no_grad():
        _short().evaluate(THETA, 1)
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.get_num_threads() == threads


def test_steps_with_one_theta_are_one_evaluation() -> None:
    task = _short()
    training = task.training()
    training.start(1)
    for _ in range(8):  # every second one too short for an iteration
        step = training.advance(THETA, 1 / 8)
    assert step.result == task.evaluate(THETA, 1)


def test_start_gives_the_scores_of_the_warm_start_again_and_again() -> None:
    training = _short().training()
    first = training.start(1)
    assert first.scores == warm_start()[1]
    trained = training.advance(THETA, 0.5)
    assert trained.result != first
    assert training.start(1) == first
    assert training.advance(THETA, 0.5) == trained  # no momentum is left over


def test_budget_is_the_same_training_stopped_earlier() -> None:
    task = _short()
    training = task.training()
    training.start(1)
    assert task.evaluate(THETA, 1, 0.5) == training.advance(THETA, 0.5).result
    assert task.evaluate(THETA, 1, 0.5) != task.evaluate(THETA, 1)
    assert task.evaluate(THETA, 1, 1e-3) == task.evaluate(THETA, 1, 1 / SHORT)  # at least one
    with pytest.raises(ValueError, match="budget is a share"):
        task.evaluate(THETA, 1, 1.5)


def test_numbers_that_blow_up_fail_with_a_reason() -> None:
    result = Shapes(SPACE, iterations=SHORT, lr=1e30).evaluate(THETA, 1)
    assert (result.status, result.reward) == ("failed", 0.0)
    assert "at iteration" in result.reason
    last = Shapes(SPACE, iterations=1, lr=math.inf).evaluate(THETA, 1)
    assert "weights are not finite" in last.reason


@pytest.mark.parametrize("metric", ["mIoU", "BF1"])
def test_every_metric_can_be_the_objective(metric: str) -> None:
    task = Shapes(SearchSpace(metric), iterations=1)
    result = task.evaluate(task.space.identity(), 0)
    assert result.status == "ok"
    assert tuple(result.scores) == task.score_names
    assert result.reward == result.scores[metric]
    assert all(0.0 < score < 1.0 for score in result.scores.values())


def test_theta_matters_more_than_the_seed() -> None:
    """Whole trainings: bad, identity and good lie more than a point apart, seeds within one."""
    task = Shapes(SearchSpace("mIoU"))
    good = [0.51, 0.95, 0.14, 0.95, 0.31, 0.42, 0.83, 0.41, 0.55, 0.03, 0.75, 0.54]
    thetas = (np.tile([0.9, 0.1], 6), task.space.identity(), np.array(good))
    rewards = [task.evaluate(theta, 1).reward for theta in thetas]
    assert np.all(np.diff(rewards) > 0.01)
    assert task.evaluate(thetas[-1], 2).reward == pytest.approx(rewards[-1], abs=0.01)
