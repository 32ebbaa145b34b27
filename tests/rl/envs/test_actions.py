"""Actions and the thetas they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.error import InvalidAction
from numpy.typing import ArrayLike

from rl.envs.actions import action_space, theta_of


@pytest.mark.parametrize("action", [[0, 0.1, 1], (0, 0.1, 1), np.array([0, 0.1, 1])])
def test_any_form_of_numbers_keeps_its_digits(action: ArrayLike) -> None:
    theta = theta_of(action, action_space(3))
    assert theta.dtype == np.float64
    np.testing.assert_array_equal(theta, [0, 0.1, 1])


def test_float32_is_widened_exactly() -> None:
    action = np.array([0.1], np.float32)
    assert theta_of(action, action_space(1))[0] == np.float64(np.float32(0.1))


def test_normalized_actions() -> None:
    space = action_space(3, normalize=True)
    assert (space.low.tolist(), space.high.tolist()) == ([-1] * 3, [1] * 3)
    np.testing.assert_array_equal(theta_of([-1, 0, 1], space), [0, 0.5, 1])


def test_the_theta_is_a_copy() -> None:
    action = np.array([0.5, 0.5])
    theta_of(action, action_space(2))[0] = 0.0
    assert action[0] == 0.5


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ([0.5], r"must have shape \(2,\), got \(1,\)"),
        ([[0.5, 0.5]], r"must have shape \(2,\), got \(1, 2\)"),
        (0.5, r"must have shape \(2,\), got \(\)"),
        ([0.5, 1.01], r"must lie in \[0, 1\], got \[0.5, 1.01\]; clip"),
        ([-0.01, 0.5], r"must lie in \[0, 1\]"),
        ([0.5, float("nan")], r"must lie in \[0, 1\], got \[0.5, nan\]"),
        ([0.5, "high"], "an action is 2 numbers, got"),
        ([0.5, [0.5]], "an action is 2 numbers, got"),
        (None, "an action"),
    ],
)
def test_refusals(action: ArrayLike, words: str) -> None:
    with pytest.raises(InvalidAction, match=words):
        theta_of(action, action_space(2))


def test_the_bounds_refused_are_those_of_the_space() -> None:
    with pytest.raises(InvalidAction, match=r"must lie in \[-1, 1\], got \[-1.5\]"):
        theta_of([-1.5], action_space(1, normalize=True))
