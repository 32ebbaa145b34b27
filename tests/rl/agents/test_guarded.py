"""Agents that misbehave: what they give is checked and copied. Gains instead of rewards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_searches import Told

from rl.agents import PPO, Agent, RandomSearch
from rl.agents.guarded import Guarded
from rl.executors import SerialExecutor
from rl.journal import Journal
from rl.proxies import Quadratic
from rl.search import SearchSettings, run_search

SETTINGS = SearchSettings(rounds=3, samples=4, top_k=2, reseeds=2)


class _Agent:
    """Uniform; a well-behaved one."""

    def __init__(self) -> None:
        self.generator = np.random.default_rng(0)
        self.mean, self.spread = np.full(2, 0.5), np.full(2, 0.3)

    def ask(self, n: int) -> np.ndarray:
        return self.generator.random((n, 2))

    def tell(self, thetas: np.ndarray, scores: np.ndarray) -> None:
        self.mean = thetas[scores.argmax()].copy()


class _Reckless(_Agent):
    """The same, with one buffer for all that it gives, and no respect for what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = np.empty((4, 2))

    def ask(self, n: int) -> np.ndarray:
        self.buffer[:] = super().ask(n)
        return self.buffer

    def tell(self, thetas: np.ndarray, scores: np.ndarray) -> None:
        self.mean[:] = thetas[scores.argmax()]
        thetas[:] = scores[:] = self.buffer[:] = -1.0


def _searched(agent: Any, path: Path) -> tuple[bytes, Any]:
    with Journal.create(path, {}) as journal:
        result = run_search(agent, SerialExecutor(Quadratic([0.8, 0.3])), journal, SETTINGS)
    return path.read_bytes(), result


def test_a_reckless_agent_spoils_nothing(tmp_path: Path) -> None:
    journal, result = _searched(_Agent(), tmp_path / "a.jsonl")
    reckless, same = _searched(_Reckless(), tmp_path / "b.jsonl")
    assert reckless == journal
    assert same.selection.report() == result.selection.report()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("mean", np.array([0.5, np.nan]), r": expected .* in \[0, 1\], got nan at \[1\]; 1 of 2"),
        ("spread", 0.1, r": expected an array of shape \(2,\), got \(\)"),
        ("ask", lambda n: np.zeros((n, 3)), r"\(4\): expected .* shape \(4, 2\), got \(4, 3\)"),
        (
            "ask",
            lambda n: np.array([[0.1, 0.2]] * 3 + [[7, 0]]),
            r"\(4\): expected .*, got 7\.0 at \[3, 0\]; 1 of 8",
        ),
    ],
)
def test_what_is_not_as_promised_is_refused_by_name(
    name: str, value: object, words: str, tmp_path: Path
) -> None:
    agent = _Agent()
    setattr(agent, name, value)
    with (
        Journal.create(tmp_path / "journal.jsonl", {}) as journal,
        pytest.raises(ValueError, match=rf"_Agent\.{name}{words}"),
    ):
        executor = SerialExecutor(Quadratic([0.8, 0.3]))
        run_search(agent, executor, journal, SETTINGS, identity=np.full(2, 0.5))


# Gains over the identity.

IDENTITY = np.array([0.2, 0.8, 0.5])


def test_the_identity_leads_the_round_and_the_agent_is_told_gains() -> None:
    inner = Told(IDENTITY, seed=0)
    agent = Guarded(inner, reference=IDENTITY)
    thetas = agent.ask(4)
    np.testing.assert_array_equal(thetas[0], IDENTITY)
    np.testing.assert_array_equal(thetas[1:], RandomSearch(IDENTITY, seed=0).ask(3))
    agent.tell(thetas[[0, 1, 3]], np.array([0.5, 0.25, 0.75]))  # one was lost
    np.testing.assert_array_equal(inner.told[0][0], thetas[[1, 3]])
    np.testing.assert_array_equal(inner.told[0][1], [-0.25, 0.25])
    np.testing.assert_array_equal(agent.mean, thetas[3])


@pytest.mark.parametrize("rows", [[1, 2, 3], [0]])
def test_nothing_is_told_of_a_round_without_the_identity_or_with_nothing_else(
    rows: list[int],
) -> None:
    inner = Told(IDENTITY, seed=0)
    agent = Guarded(inner, reference=IDENTITY)
    thetas = agent.ask(4)
    agent.tell(thetas[rows], np.full(len(rows), 0.5))
    assert inner.told == []


def _means(agent: Agent, luck: float) -> np.ndarray:
    for index in range(6):
        thetas = agent.ask(8)
        agent.tell(thetas, 0.5 - np.mean((thetas - 0.6) ** 2, axis=1) + luck * index % 0.4)
    return agent.mean


def test_luck_of_a_round_does_not_matter() -> None:
    def best(luck: float) -> np.ndarray:
        return _means(Guarded(RandomSearch(IDENTITY, seed=0), reference=IDENTITY), luck)

    np.testing.assert_array_equal(best(0.0), best(0.3))
    assert np.any(_means(RandomSearch(IDENTITY, seed=0), 0.3) != best(0.3))
    ppo = [_means(Guarded(PPO(IDENTITY, seed=0), reference=IDENTITY), luck) for luck in (0.0, 0.3)]
    np.testing.assert_allclose(*ppo)
