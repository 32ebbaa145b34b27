"""Agents with options, written in one line."""

from __future__ import annotations

from benchmarks.agents.variants import parse_variants


def test_labels_are_as_written_and_values_json_or_text() -> None:
    variants = parse_variants("x:a=1,b=0.5,c=true,d=null,e=joint,f=1e-3, random")
    assert [one.label for one in variants] == ["x:a=1,b=0.5,c=true,d=null,e=joint,f=1e-3", "random"]
    expected = {"a": 1, "b": 0.5, "c": True, "d": None, "e": "joint", "f": 0.001}
    assert [one.options for one in variants] == [expected, {}]
