"""Agents by name. A new agent is one module and one row here."""

from __future__ import annotations

from collections.abc import Callable

from rl.agents.base import Agent
from rl.agents.ppo import PPO
from rl.agents.random_search import RandomSearch

__all__ = ["AGENTS", "PPO", "Agent", "RandomSearch", "agent_class"]

AGENTS: dict[str, Callable[..., Agent]] = {"ppo": PPO, "random": RandomSearch}
"""name -> class; each is called as ``cls(identity, seed=..., rounds=..., **options)``."""


def agent_class(name: str) -> Callable[..., Agent]:
    """The class of that name; ValueError that lists the known ones."""
    if name not in AGENTS:
        raise ValueError(f"unknown agent {name!r}; known agents: {', '.join(sorted(AGENTS))}")
    return AGENTS[name]
