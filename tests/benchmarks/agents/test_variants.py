"""Agents with options, written in one line."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.agents.variants import parse_variants


def test_labels_are_as_written() -> None:
    labels = [one.label for one in parse_variants("ppo:baseline=mu,ratio=joint, random,ppo:clip=3")]
    assert labels == ["ppo:baseline=mu,ratio=joint", "random", "ppo:clip=3"]


def test_values_are_json_or_text() -> None:
    (variant,) = parse_variants("x:a=1,b=0.5,c=true,d=null,e=joint,f=1e-3")
    expected = {"a": 1, "b": 0.5, "c": True, "d": None, "e": "joint", "f": 0.001}
    assert variant.options == expected


@pytest.mark.parametrize(
    "text",
    ["pppo", "ppo:colour=red", "ppo:clip=7", "ppo:clip", "ppo,random,ppo"],
)
def test_mistakes_are_named(text: str) -> None:
    with pytest.raises((ValueError, TypeError), match=text):
        for variant in parse_variants(text):
            variant.make(np.array([0.5]), seed=0, rounds=2)
