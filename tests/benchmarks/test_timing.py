"""benchmarks/timing.py: rounds are interleaved, ratios are to the rival; no time is asserted."""

from __future__ import annotations

from benchmarks.timing import median_seconds, ratios


def test_calls_take_turns() -> None:
    order: list[str] = []
    calls = {name: lambda name=name: order.append(name) for name in "ab"}
    seconds = median_seconds(calls, repeats=2, warmups=1)
    assert order == ["a", "b"] * 3
    assert list(seconds) == ["a", "b"]
    assert min(seconds.values()) > 0


def test_ratios_are_multiples_of_the_rival() -> None:
    assert ratios({"ours": 3.0, "theirs": 2.0}, "theirs") == {"ours": 1.5, "theirs": 1.0}
