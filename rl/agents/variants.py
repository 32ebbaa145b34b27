"""Agents with options in one line of text, for command lines and tables."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from rl.agents import Agent, agent_class
from rl.agents.base import Vector


@dataclass(frozen=True)
class Variant:
    """An agent with its options, and the label that names it in the table."""

    label: str
    name: str
    options: tuple[tuple[str, Any], ...]

    def make(self, identity: Vector, seed: int, rounds: int) -> Agent:
        """A new agent; TypeError or ValueError that names the variant for wrong options."""
        make = agent_class(self.name)
        try:
            return make(identity, seed=seed, rounds=rounds, **dict(self.options))
        except (TypeError, ValueError) as error:
            raise type(error)(f"agent {self.label}: {error}") from error


def parse_variants(text: str) -> list[Variant]:
    """ "ppo:baseline=mu,ratio=joint,random" -> two variants, labelled as written.

    Values are JSON where they can be (0.1, true, null), else text.
    """
    parts: list[str] = []
    for token in text.split(","):
        if parts and "=" in token and ":" not in token:  # an option more of the agent before
            parts[-1] += "," + token.strip()
        else:
            parts.append(token.strip())
    if not all(parts):
        raise ValueError(f"a comma names no agent: {text!r}; expected e.g. ppo,cma_es")
    if len(set(parts)) < len(parts):
        raise ValueError(f"an agent is named twice with equal options: {text}")
    return [_variant(part) for part in parts]


def _variant(label: str) -> Variant:
    name, _, options = label.partition(":")
    pairs = [option.partition("=") for option in options.split(",") if option]
    if any(not key or not equals for key, equals, _ in pairs):
        raise ValueError(f"expected agent:option=value,option=value, got {label!r}")
    return Variant(label, name, tuple((key, _value(value)) for key, _, value in pairs))


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
