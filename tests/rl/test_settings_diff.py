"""Differences of settings, named exactly."""

from __future__ import annotations

import pytest

from rl.settings_diff import differences


@pytest.mark.parametrize(
    ("old", "new", "rows"),
    [
        ({}, {}, []),
        ({"a": 1, "b": {"c": [1, 2]}}, {"b": {"c": [1, 2]}, "a": 1}, []),
        ({"a": 1}, {"a": 2}, ["a: 1 -> 2"]),
        ({"b": {"c": 0.1, "d": 3}}, {"b": {"c": 0.2, "d": 3}}, ["b.c: 0.1 -> 0.2"]),
        ({"b": {"c": 1}}, {"b": {}}, ["b: (absent) -> {}", "b.c: 1 -> (absent)"]),
        ({"a": None}, {}, ["a: null -> (absent)"]),
    ],
)
def test_rows(old: dict, new: dict, rows: list[str]) -> None:
    assert differences(old, new) == rows
