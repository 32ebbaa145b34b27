"""The catalog of agents."""

from __future__ import annotations

import numpy as np
import pytest

from rl.agents import AGENTS, PPO, agent_class


def test_names() -> None:
    assert agent_class("ppo") is PPO


@pytest.mark.parametrize("name", sorted(AGENTS))
def test_every_agent_keeps_the_protocol(name: str) -> None:
    agent = AGENTS[name](np.array([0.2, 0.8, 0.5]), seed=0)
    for _ in range(2):
        thetas = agent.ask(4)
        assert thetas.shape == (4, 3)
        assert thetas.dtype == np.float64
        agent.tell(thetas, np.arange(4.0) / 4)
    assert agent.mean.shape == agent.spread.shape == (3,)


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(ValueError, match="unknown agent 'pppo'; known agents: ppo, random"):
        agent_class("pppo")
