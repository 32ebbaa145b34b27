"""Agents by name. A new agent is one module and one row here.

A row names its class as "module:class", so nothing is imported until an agent is used: an agent
whose library is an optional extra costs other users nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pkgutil import resolve_name

from rl.agents.base import Agent
from rl.agents.cma_es import CMAES
from rl.agents.ppo import PPO
from rl.agents.random_search import RandomSearch

__all__ = ["AGENTS", "CMAES", "PPO", "Agent", "RandomSearch", "agent_class"]

AGENTS = {
    "ppo": "rl.agents.ppo:PPO",
    "random": "rl.agents.random_search:RandomSearch",
    "cma_es": "rl.agents.cma_es:CMAES",
    "tpe": "rl.agents.by_optuna:TPE",
    "gp": "rl.agents.by_optuna:GP",
}
"""name -> its class."""


def agent_class(name: str) -> Callable[..., Agent]:
    """The class of that name.

    ValueError, which lists the known names; ImportError, which says how to install its library.
    """
    if name not in AGENTS:
        raise ValueError(f"unknown agent {name!r}; known agents: {', '.join(sorted(AGENTS))}")
    make: Callable[..., Agent] = resolve_name(AGENTS[name])
    return make
