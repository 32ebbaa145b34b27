"""Lost evaluations, failures, and a search that cannot come to anything."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from small_searches import SETTINGS, Counting, Log, Told, assert_same, cut, small_search

from rl.events import RoundEvent
from rl.journal import read_journal
from rl.proxies import Quadratic
from rl.search import SearchError
from rl.selection import NoVerdictError


@pytest.mark.parametrize(("samples", "tried"), [(4, 8), (2, 6)])
def test_a_search_stops_when_nothing_but_failures_came(
    tmp_path: Path, samples: int, tried: int
) -> None:
    """After the round of the eighth failure, or at the end of three rounds of two."""
    task = Quadratic([0.5, 0.5, 0.5], fails=lambda theta: True)
    settings, path = dataclasses.replace(SETTINGS, samples=samples), tmp_path / "journal.jsonl"
    words = f"no candidate can be compared: of the first {tried} .* {tried} failed .* configured to"
    for _ in range(2):  # resuming it does not help, and says the same
        with pytest.raises(SearchError, match=words):
            small_search(path, task, Told(), settings=settings)
    assert sum(r["kind"] == "candidate" for r in read_journal(path)) == tried


# Lost evaluations. A round has 4, of which 1 may be lost; the final 8, of which 2 may.


def test_a_lost_evaluation_is_not_told(tmp_path: Path) -> None:
    agent, log = Told(), Log()
    path = tmp_path / "journal.jsonl"
    result = small_search(path, Counting(breaking={1, 7}), agent, [log])
    assert [scores.size for _, scores in agent.told] == [3, 3, 4]
    records = {r["id"]: r for r in read_journal(path) if r["kind"] == "candidate"}
    lost_one = records["r00c01"]
    assert (lost_one["status"], lost_one["reward"]) == ("lost", None)
    assert lost_one["reason"] == "1 attempt failed: MemoryError: no memory"
    told = [records[f"r00c0{i}"]["theta"] for i in (0, 2, 3)]
    np.testing.assert_array_equal(agent.told[0][0], told)
    assert (result.lost, [event.counts["lost"] for event in log.of(RoundEvent)]) == (2, [1, 1, 0])
    rewards = [records[f"r00c0{i}"]["reward"] for i in (0, 2, 3)]
    assert log.of(RoundEvent)[0].reward_mean == np.mean(rewards)


def test_resuming_with_lost_evaluations_is_identical(tmp_path: Path) -> None:
    """They stay lost, whatever they would give now: the agent has gone on without them."""
    path, breaking = tmp_path / "journal.jsonl", {2, 9, 14}
    first = small_search(path, Counting(breaking=breaking))
    whole = cut(path, 17)
    known = sum(r["kind"] == "candidate" for r in read_journal(path))
    assert_same(small_search(path, Counting(breaking={n - known for n in breaking})), first)
    assert path.read_bytes() == whole


def test_too_many_lost_evaluations_stop_a_search_and_are_made_again(tmp_path: Path) -> None:
    """10 of 18 were lost, every final one too, and a loss was written nevertheless."""
    path = tmp_path / "journal.jsonl"
    task = Counting(breaking={5, 7})
    for lost in (2, 4):
        with pytest.raises(SearchError, match=r"2 of 4 .* share 0.25; .* no memory\. .*resume"):
            small_search(path, task)
        assert sum(r.get("status") == "lost" for r in read_journal(path)) == lost
        task.breaking, task.asked = {0, 1}, []  # the same two again
    records = read_journal(path)
    assert [r["ids"] for r in records if r["kind"] == "again"] == [["r01c01", "r01c03"]] * 2
    assert_same(small_search(path), small_search(tmp_path / "whole.jsonl"))


def test_a_final_without_verdict_stops_a_search_and_is_made_again(tmp_path: Path) -> None:
    """A lost final evaluation of one of two, for every rival of the identity."""
    path = tmp_path / "journal.jsonl"
    rivals = {14, 17, 19}  # under one of two seeds each
    with pytest.raises(NoVerdictError, match="No verdict") as caught:
        small_search(path, Counting(breaking=rivals), max_lost=0.5)
    assert str(caught.value).count("(1 of 2 lost)") == 3
    assert not [r for r in read_journal(path) if r["kind"] == "result"]
    task = Counting()
    assert_same(small_search(path, task), small_search(tmp_path / "whole.jsonl"))
    assert len(task.asked) == 3
