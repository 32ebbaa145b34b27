"""The catalog of agents, and what every one of them promises."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy import stats

from rl.agents import AGENTS, Agent, RandomSearch, agent_class

IDENTITY = np.array([0.2, 0.8, 0.5])


def _make(name: str, seed: int = 0) -> Agent:
    if name in ("gp", "tpe"):
        pytest.importorskip("optuna")
    return agent_class(name)(IDENTITY, seed=seed, rounds=6)


def _round(agent: Agent, n: int = 6) -> np.ndarray:
    """Ask and tell; a theta with a low first coordinate fails."""
    thetas = agent.ask(n)
    good = 1.0 - np.mean((thetas - 0.6) ** 2, axis=1)
    agent.tell(thetas, np.where(thetas[:, 0] < 0.2, 0.0, good))
    return thetas


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_keeps_the_protocol_also_after_failures_and_losses(name: str) -> None:
    agent = _make(name)
    np.testing.assert_allclose(agent.mean, IDENTITY, rtol=1e-12)
    agent.tell(agent.ask(6), np.zeros(6))
    agent.tell(agent.ask(6)[[2]], np.array([0.5]))
    agent.ask(6)  # all of them lost
    for _ in range(2):
        thetas = _round(agent)
        assert thetas.shape == (6, 3)
        assert thetas.dtype == np.float64
        assert np.all((thetas >= 0.0) & (thetas <= 1.0))
        for vector in (agent.mean, agent.spread):
            assert vector.shape == (3,)
            assert vector.dtype == np.float64
        assert np.all((agent.mean >= 0.0) & (agent.mean <= 1.0))
        assert np.all(agent.spread > 0.0)


@pytest.mark.parametrize("name", AGENTS)
def test_asking_is_seeded(name: str) -> None:
    first, second, other = (_make(name, seed) for seed in (7, 7, 8))
    for _ in range(2):
        np.testing.assert_array_equal(_round(first), _round(second))
    assert not np.array_equal(first.ask(6), _round(other))


def test_an_extra_that_is_missing_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "rl.agents.by_optuna", raising=False)
    with pytest.raises(ImportError, match=r"optuna.*pip install"):
        agent_class("tpe")


def test_random_search_is_uniform_and_its_mean_the_best_seen() -> None:
    agent = RandomSearch(IDENTITY[:2], seed=0)
    assert stats.kstest(agent.ask(1000).ravel(), "uniform").pvalue > 1e-3
    np.testing.assert_array_equal(agent.mean, IDENTITY[:2])
    agent.tell(np.array([[0.1, 0.1], [0.2, 0.2]]), np.array([0.0, 0.5]))
    agent.tell(np.array([[0.3, 0.3], [0.4, 0.4]]), np.array([0.5, 0.1]))
    np.testing.assert_array_equal(agent.mean, [0.2, 0.2])
