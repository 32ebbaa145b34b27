"""The problem with a known optimum."""

from __future__ import annotations

import numpy as np
import pytest

from rl.proxies import Quadratic


def test_values_by_hand() -> None:
    task = Quadratic([0.5, 0.5])
    assert task.evaluate(np.array([0.5, 0.5]), 0).reward == 1.0
    result = task.evaluate(np.array([0.5, 0.9]), 0)
    assert result.reward == pytest.approx(1 - 0.16 / 2)
    assert result.scores["rmse"] == pytest.approx(np.sqrt(0.08))


def test_noise_depends_on_seed_and_theta_only() -> None:
    task, theta = Quadratic([0.5, 0.5], noise=0.01), np.array([0.1, 0.2])
    assert task.evaluate(theta, 1) == task.evaluate(theta, 1)
    assert task.evaluate(theta, 1) != task.evaluate(theta, 2)
    clean = Quadratic([0.5, 0.5])
    draws = [
        task.evaluate(np.array([x, 0.2]), 1).reward - clean.evaluate(np.array([x, 0.2]), 1).reward
        for x in np.linspace(0.2, 0.8, 200)
    ]
    assert np.std(draws) == pytest.approx(0.01, rel=0.2)
