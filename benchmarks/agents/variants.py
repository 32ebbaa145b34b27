"""Agents with options in one line of text, for the command line and the tables."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from rl.agents import Agent, agent_class
from rl.agents.base import Vector


@dataclass(frozen=True)
class Variant:
    """An agent with its options, and the label that names it in the table."""

    label: str
    name: str
    options: dict[str, Any]

    def make(self, identity: Vector, seed: int, rounds: int) -> Agent:
        """A new agent; TypeError or ValueError that names the variant for wrong options."""
        make = agent_class(self.name)
        try:
            return make(identity, seed=seed, rounds=rounds, **self.options)
        except (TypeError, ValueError) as error:
            raise type(error)(f"agent {self.label}: {error}") from error


def parse_variants(text: str) -> list[Variant]:
    """ "ppo:baseline=mu,ratio=joint,random" -> two variants, labelled as written.

    Values are JSON where they can be (0.1, true, null), else text.
    """
    # A comma begins an agent, unless an option of the agent before follows.
    labels = [part.strip() for part in re.split(r",(?![^,:]*=)", text)]
    if not all(labels) or len(set(labels)) < len(labels):
        raise ValueError(f"expected different agents, such as ppo,cma_es; got {text!r}")
    return [_variant(label) for label in labels]


def _variant(label: str) -> Variant:
    name, _, options = label.partition(":")
    pairs = [option.strip().partition("=") for option in options.split(",") if option]
    if any(not key or not equals for key, equals, _ in pairs):
        raise ValueError(f"expected agent:option=value,option=value, got {label!r}")
    return Variant(label, name, {key: _value(value) for key, _, value in pairs})


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
