"""The loop: deterministic, and unmoved by kills at any point of its journal."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from small_searches import SETTINGS, Counting, Log, assert_same, cut, small_search

from rl.events import CandidateEvent, RoundEvent, SearchStart, SelectionEvent
from rl.journal import JournalError
from rl.search import SearchResult, candidate_seed


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, SearchResult]:
    """An uninterrupted search: its journal's bytes, its result."""
    path = tmp_path_factory.mktemp("whole") / "journal.jsonl"
    result = small_search(path)
    return path.read_bytes(), result


def _resumed(path: Path, whole: tuple[bytes, SearchResult]) -> int:
    """Go on with the search, which comes to the same; how many evaluations that took."""
    task = Counting()
    assert_same(small_search(path, task), whole[1])
    assert path.read_bytes() == whole[0]
    return len(task.asked)


def test_journal_holds_every_step_in_order(whole) -> None:
    records = [json.loads(line) for line in whole[0].splitlines()]
    names = [record.get("id", record["kind"]) for record in records]
    rounds = [f"r{r:02d}c{c:02d}" if c < 4 else "round" for r in range(3) for c in range(5)]
    final = [f"s00c{i:02d}m{m}" for m in range(2) for i in range(4)]
    assert names == ["header", *rounds, *final, "result"]
    assert records[-1]["theta"] == whole[1].theta.tolist()
    assert any(record.get("status") == "failed" and record["reason"] for record in records)


def test_a_round_shares_one_seed_and_the_final_has_fresh_ones(tmp_path: Path) -> None:
    task = Counting()
    small_search(tmp_path / "journal.jsonl", task)
    seeds = [seed for _, seed in task.asked]
    search = [candidate_seed(3, "search", index) for index in range(3)]
    final = [candidate_seed(3, "selection", index) for index in range(2)]
    assert seeds == [seed for seed in search + final for _ in range(4)]
    assert len({*search, *final}) == 5
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_callbacks_are_told_everything_in_order(tmp_path: Path) -> None:
    log = Log()
    result = small_search(tmp_path / "journal.jsonl", callbacks=[log])
    kinds = [type(event) for event in log.events]
    one_round = [*[CandidateEvent] * 4, RoundEvent]
    final = [SelectionEvent, *[CandidateEvent] * 8, SearchResult]
    assert kinds == [SearchStart, *one_round * 3, *final]
    assert [event.step for event in log.of(CandidateEvent)] == list(range(20))
    assert log.events[-1] is result
    assert log.closed == 1
    bests = [event.best[1].reward for event in log.of(RoundEvent)]
    assert bests == sorted(bests)
    rewards = [e.result.reward for e in log.of(CandidateEvent) if e.stage == "search"]
    assert bests[-1] == max(rewards)


# Header, 4 candidates and a round three times, 8 of the final, the result.
@pytest.mark.parametrize("torn", [0, 20])
@pytest.mark.parametrize("lines", [0, 3, 6, 16, 20, 24])
def test_resume_at_every_record_is_identical(whole, tmp_path: Path, lines: int, torn: int) -> None:
    path = tmp_path / "journal.jsonl"
    kept = whole[0].splitlines(keepends=True)
    path.write_bytes(b"".join([*kept[:lines], kept[lines][:torn]]))
    _resumed(path, whole)


@pytest.mark.parametrize("error", [KeyboardInterrupt("stop"), UnicodeError("7.png is no image")])
def test_a_stop_and_a_data_error_propagate_and_the_journal_resumes(
    whole, tmp_path: Path, error: BaseException
) -> None:
    path, log = tmp_path / "journal.jsonl", Log()
    with pytest.raises(type(error), match=str(error)):
        small_search(path, Counting({7}, error), callbacks=[log])
    assert log.closed == 1
    assert _resumed(path, whole) == 20 - 7


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"theta": [0.1, 0.2, 0.3]}, r"theta\.0: 0\.1 -> 0\.\d+; 3 values differ"),
        ({"seed": 1}, "seed: 1 ->"),
    ],
)
def test_foreign_candidates_are_refused(whole, tmp_path: Path, changes: dict, named: str) -> None:
    path = tmp_path / "journal.jsonl"
    header, first, *others = whole[0].splitlines(keepends=True)
    changed = json.dumps({**json.loads(first), **changes}).encode() + b"\n"
    path.write_bytes(b"".join([header, changed, *others]))
    with pytest.raises(JournalError, match=rf"candidate r00c00 .* asked\): {named}"):
        small_search(path)


# A limit of time. One evaluation takes a minute, a round 4.


class _Clocked(Counting):
    def clock(self) -> float:
        return 60.0 * len(self.asked)


def _timed(path: Path, minutes: float, log: Log) -> SearchResult:
    settings = dataclasses.replace(SETTINGS, rounds=9, minutes=minutes)
    task = _Clocked()
    return small_search(path, task, callbacks=[log], settings=settings, clock=task.clock)


@pytest.mark.parametrize(("minutes", "rounds"), [(1, 1), (19, 4)])
def test_a_round_that_would_not_end_in_time_is_not_begun(
    tmp_path: Path, minutes: float, rounds: int
) -> None:
    log = Log()
    _timed(tmp_path / "journal.jsonl", minutes, log)
    seconds = [event.seconds for event in log.of(RoundEvent)]
    assert seconds == [240.0 * (i + 1) for i in range(rounds)]
    assert log.of(SelectionEvent)[0].rounds == rounds


@pytest.mark.parametrize("lines", [3, 24])
def test_a_search_with_a_limit_resumes_with_the_time_it_has_used(
    tmp_path: Path, lines: int
) -> None:
    """Header, then 4 candidates and a round, three times; a part of a round is made for free."""
    path, log = tmp_path / "journal.jsonl", Log()
    whole = _timed(path, 13, Log())
    cut(path, lines)
    assert_same(_timed(path, 13, log), whole)
    interrupted = (lines - 1) // 5
    free = 60.0 * ((lines - 1) % 5) if interrupted < 3 else 0.0
    expected = [240.0 * i - free * (i > interrupted) for i in (1, 2, 3)]
    assert [event.seconds for event in log.of(RoundEvent)] == expected
