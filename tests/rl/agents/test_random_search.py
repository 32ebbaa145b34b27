"""Random search: uniform, remembers the best, and its state is exact."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from rl.agents import RandomSearch

IDENTITY = np.array([0.25, 0.5])


def test_is_uniform() -> None:
    thetas = RandomSearch(IDENTITY, seed=0).ask(1000)
    assert stats.kstest(thetas.ravel(), "uniform").pvalue > 1e-3


def test_mean_is_the_identity_then_the_best_seen() -> None:
    agent = RandomSearch(IDENTITY, seed=0)
    np.testing.assert_array_equal(agent.mean, IDENTITY)
    agent.tell(np.array([[0.1, 0.1], [0.2, 0.2]]), np.array([0.0, 0.5]))
    agent.tell(np.array([[0.3, 0.3], [0.4, 0.4]]), np.array([0.5, 0.1]))
    np.testing.assert_array_equal(agent.mean, [0.2, 0.2])


def test_state_through_json_continues_identically() -> None:
    agent, heir = RandomSearch(IDENTITY, seed=0), RandomSearch(IDENTITY, seed=1)
    agent.tell(agent.ask(3), np.arange(3.0))
    heir.load_state_dict(json.loads(json.dumps(agent.state_dict())))
    np.testing.assert_array_equal(agent.mean, heir.mean)
    np.testing.assert_array_equal(agent.ask(3), heir.ask(3))


def test_wrong_news_is_refused() -> None:
    with pytest.raises(ValueError, match="finite scores"):
        RandomSearch(IDENTITY, seed=0).tell(np.zeros((1, 2)), np.array([np.inf]))
