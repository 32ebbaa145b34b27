"""Agents that misbehave: what they give is checked and copied. Gains instead of rewards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_searches import Told, assert_same, small_search

from rl.agents import RandomSearch
from rl.agents.guarded import Guarded


class _Agent:
    """Uniform; a well-behaved one."""

    def __init__(self) -> None:
        self.generator = np.random.default_rng(0)
        self.mean, self.spread = np.full(3, 0.5), np.full(3, 0.3)

    def ask(self, n: int) -> np.ndarray:
        return self.generator.random((n, 3))

    def tell(self, thetas: np.ndarray, scores: np.ndarray) -> None:
        self.mean = thetas[scores.argmax()].copy()


class _Reckless(_Agent):
    """The same, with one buffer for all that it gives, and no respect for what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = np.empty((4, 3))

    def ask(self, n: int) -> np.ndarray:
        self.buffer[:] = super().ask(n)
        return self.buffer

    def tell(self, thetas: np.ndarray, scores: np.ndarray) -> None:
        self.mean[:] = thetas[scores.argmax()]
        thetas[:] = scores[:] = self.buffer[:] = -1.0


def test_a_reckless_agent_spoils_nothing(tmp_path: Path) -> None:
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    assert_same(small_search(one, agent=_Agent()), small_search(other, agent=_Reckless()))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("mean", np.array([0.5, np.nan, 0.5]), r": .* in \[0, 1\], got nan at \[1\]; 1 of 3"),
        ("spread", 0.1, r": expected an array of shape \(3,\), got \(\)"),
        ("ask", lambda n: np.zeros((n, 2)), r"\(4\): .* shape \(4, 3\), got \(4, 2\)"),
        ("ask", lambda n: np.eye(n, 3) * 7, r"\(4\): .*, got 7\.0 at \[0, 0\]; 3 of 12"),
    ],
)
def test_what_is_not_as_promised_is_refused_by_name(
    name: str, value: object, words: str, tmp_path: Path
) -> None:
    agent = _Agent()
    setattr(agent, name, value)
    with pytest.raises(ValueError, match=rf"_Agent\.{name}{words}"):
        small_search(tmp_path / "journal.jsonl", agent=agent, identity=np.full(3, 0.5))


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
