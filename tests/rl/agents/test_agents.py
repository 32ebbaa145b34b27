"""The catalog of agents, and what every one of them promises."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from rl.agents import AGENTS, CMAES, PPO, Agent, RandomSearch, agent_class

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


@pytest.mark.parametrize(
    ("name", "known"), [("ppo", PPO), ("random", RandomSearch), ("cma_es", CMAES)]
)
def test_names(name: str, known: type) -> None:
    assert agent_class(name) is known


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_keeps_the_protocol(name: str) -> None:
    agent = _make(name)
    np.testing.assert_allclose(agent.mean, IDENTITY, rtol=1e-12)
    for _ in range(3):
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


@pytest.mark.parametrize("name", AGENTS)
def test_its_vectors_are_copies(name: str) -> None:
    agent, twin = _make(name), _make(name)
    for _ in range(2):
        thetas = _round(agent)
        np.testing.assert_array_equal(thetas, _round(twin))
        for vector in (thetas, agent.mean, agent.spread):
            vector[...] = 0.5
    np.testing.assert_array_equal(agent.mean, twin.mean)
    np.testing.assert_array_equal(agent.ask(6), twin.ask(6))


@pytest.mark.parametrize("waiting", [False, True], ids=["told", "asked"])
@pytest.mark.parametrize("rounds", [0, 3])
@pytest.mark.parametrize("name", AGENTS)
def test_state_through_json_continues_identically(name: str, rounds: int, waiting: bool) -> None:
    agent, heir = _make(name, seed=1), _make(name, seed=99)
    for _ in range(rounds):
        _round(agent)
    _round(heir)  # what it did before is forgotten
    asked = agent.ask(6) if waiting else None
    heir.load_state_dict(json.loads(json.dumps(agent.state_dict(), allow_nan=False)))
    for one in (agent, heir):
        if asked is not None:
            one.tell(asked, np.linspace(0.0, 0.9, 6))
    for _ in range(3):
        np.testing.assert_array_equal(_round(agent), _round(heir))
        np.testing.assert_array_equal(agent.mean, heir.mean)
        np.testing.assert_array_equal(agent.spread, heir.spread)
    assert agent.state_dict() == heir.state_dict()


@pytest.mark.parametrize("name", AGENTS)
def test_a_state_is_not_changed_by_going_on(name: str) -> None:
    agent = _make(name)
    _round(agent)
    state = agent.state_dict()
    before = json.dumps(state)
    _round(agent)
    assert json.dumps(state) == before


@pytest.mark.parametrize("name", AGENTS)
def test_a_round_of_failures_is_survived(name: str) -> None:
    agent = _make(name)
    for _ in range(2):
        agent.tell(agent.ask(6), np.zeros(6))
    assert np.isfinite(_round(agent)).all()
    assert np.isfinite(agent.mean).all()


@pytest.mark.parametrize("kept", [[1, 2, 3, 4, 5], [0, 3], [2], []])
@pytest.mark.parametrize("name", AGENTS)
def test_lost_rows_are_survived(name: str, kept: list[int]) -> None:
    agent = _make(name)
    for _ in range(2):
        thetas = agent.ask(6)[kept]
        if kept:
            agent.tell(thetas, np.linspace(0.2, 0.8, len(kept)))
    assert np.isfinite(_round(agent)).all()
    assert np.isfinite(agent.mean).all()


@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.parametrize("scores", [np.zeros(5), np.full(6, np.nan)])
def test_wrong_news_is_refused(name: str, scores: np.ndarray) -> None:
    agent = _make(name)
    with pytest.raises(ValueError, match="tell expects"):
        agent.tell(agent.ask(6), scores)


@pytest.mark.parametrize("name", AGENTS)
def test_unknown_options_are_refused(name: str) -> None:
    if name in ("gp", "tpe"):
        pytest.importorskip("optuna")
    with pytest.raises(TypeError, match="colour"):
        agent_class(name)(IDENTITY, seed=0, colour="red")


def test_unknown_name_lists_the_known() -> None:
    words = "unknown agent 'pppo'; known agents: cma_es, gp, ppo, random, tpe"
    with pytest.raises(ValueError, match=words):
        agent_class("pppo")


@pytest.mark.parametrize("name", ["tpe", "gp"])
def test_an_extra_that_is_missing_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)  # as if it were not installed
    for module in ("study", name):
        monkeypatch.delitem(sys.modules, f"rl.agents.{module}", raising=False)
    with pytest.raises(ImportError, match=r"optuna.*pip install -e '\.\[agents\]'"):
        agent_class(name)
