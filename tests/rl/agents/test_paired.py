"""Gains over the identity instead of rewards."""

from __future__ import annotations

import numpy as np
import pytest

from rl.agents import PPO, Agent, RandomSearch
from rl.agents.guarded import Guarded

IDENTITY = np.array([0.2, 0.8, 0.5])


class _Told(RandomSearch):
    def __init__(self) -> None:
        super().__init__(IDENTITY, seed=0)
        self.told: list[tuple[np.ndarray, np.ndarray]] = []

    def tell(self, thetas: np.ndarray, scores: np.ndarray) -> None:
        self.told.append((thetas, scores))
        super().tell(thetas, scores)


def test_the_identity_leads_the_round_and_the_agent_is_told_gains() -> None:
    inner = _Told()
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
    inner = _Told()
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
