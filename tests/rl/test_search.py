"""The loop: deterministic, and unmoved by kills at any point of its journal."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Container
from pathlib import Path

import numpy as np
import pytest

from rl.agents import PPO, RandomSearch
from rl.callbacks import Callback
from rl.events import CandidateEvent, RoundEvent, SearchStart, SelectionEvent
from rl.executors import SerialExecutor
from rl.journal import Journal, JournalError, read_journal
from rl.proxies import Quadratic
from rl.proxy import ProxyResult
from rl.search import SearchError, SearchResult, SearchSettings, candidate_seed, run_search
from rl.selection import NoVerdictError

IDENTITY = np.array([0.5, 0.5, 0.5])
SETTINGS = SearchSettings(rounds=3, samples=4, seed=3, top_k=2, reseeds=2)
HEADER = dataclasses.asdict(SETTINGS)


class _Counting:
    """A noisy quadratic with failures and an unmeasurable score; counts its evaluations.

    The evaluations that ``breaking`` numbers, from 0, raise.
    """

    def __init__(self, crash_at: int | None = None, breaking: Container[int] = ()) -> None:
        self.breaking = breaking
        self.task = Quadratic([0.8, 0.3, 0.6], noise=0.02, fails=lambda theta: theta[0] > 0.8)
        self.asked: list[tuple[tuple[float, ...], int]] = []
        self.crash_at = crash_at

    def evaluate(self, theta: np.ndarray, seed: int, budget: float = 1.0) -> ProxyResult:
        if len(self.asked) == self.crash_at:
            raise KeyboardInterrupt("stop")  # a mere Exception would be tried again
        self.asked.append((tuple(theta), seed))
        if len(self.asked) - 1 in self.breaking:
            raise MemoryError("no memory")
        result = self.task.evaluate(theta, seed, budget)
        return dataclasses.replace(result, scores={**result.scores, "BF1": math.nan})


class _Log(Callback):
    def __init__(self) -> None:
        self.events: list[object] = []
        self.closed = 0

    def on_start(self, event: SearchStart) -> None:
        self.events.append(event)

    on_candidate = on_round = on_selection = on_finish = on_start

    def close(self) -> None:
        self.closed += 1

    def of(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]


def _search(path: Path, task=None, agent=None, callbacks=(), **options) -> SearchResult:
    agent = PPO(IDENTITY, seed=1, epochs=5) if agent is None else agent
    with Journal.resume(path, HEADER) as journal:
        executor = SerialExecutor(_Counting() if task is None else task, max_retries=0)
        return run_search(agent, executor, journal, SETTINGS, callbacks, **options)


def _same(one: SearchResult, other: SearchResult) -> None:
    np.testing.assert_array_equal(one.theta, other.theta)
    np.testing.assert_array_equal(one.mean, other.mean)
    assert one.reward == other.reward
    assert one.selection.report() == other.selection.report()
    assert (one.evaluations, one.failures) == (other.evaluations, other.failures)
    assert one.lost == other.lost


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, SearchResult]:
    """An uninterrupted search: its journal's bytes, its result."""
    path = tmp_path_factory.mktemp("whole") / "journal.jsonl"
    result = _search(path)
    return path.read_bytes(), result


# What one search does.


def test_journal_holds_every_step_in_order(whole) -> None:
    records = [json.loads(line) for line in whole[0].splitlines()]
    names = [record.get("id", record["kind"]) for record in records]
    rounds = [f"r{r:02d}c{c:02d}" if c < 4 else "round" for r in range(3) for c in range(5)]
    final = [f"s00c{i:02d}m{m}" for m in range(2) for i in range(4)]
    assert names == ["header", *rounds, *final, "result"]
    assert records[-1]["theta"] == whole[1].theta.tolist()
    assert any(record.get("status") == "failed" and record["reason"] for record in records)


def test_a_round_shares_one_seed_and_the_final_has_fresh_ones(tmp_path: Path) -> None:
    task = _Counting()
    _search(tmp_path / "journal.jsonl", task)
    seeds = [seed for _, seed in task.asked]
    search = [candidate_seed(3, "search", index) for index in range(3)]
    final = [candidate_seed(3, "selection", index) for index in range(2)]
    assert seeds == [seed for seed in search for _ in range(4)] + [
        seed for seed in final for _ in range(4)
    ]
    assert len({*search, *final}) == 5
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_a_search_stops_when_nothing_but_failures_came(tmp_path: Path) -> None:
    task = Quadratic([0.5, 0.5, 0.5], fails=lambda theta: True)
    path = tmp_path / "journal.jsonl"
    for _ in range(2):  # resuming it does not help, and says the same
        with pytest.raises(SearchError, match=r"all of the first 8 .* configured to fail"):
            _search(path, task)
    assert sum(r["kind"] == "candidate" for r in read_journal(path)) == 8


# Lost evaluations. A round has 4, of which 1 may be lost; the final 8, of which 2 may.


class _Told(RandomSearch):
    def __init__(self) -> None:
        super().__init__(IDENTITY, seed=1)
        self.told: list[tuple[np.ndarray, np.ndarray]] = []

    def tell(self, thetas: np.ndarray, scores: np.ndarray) -> None:
        self.told.append((thetas, scores))
        super().tell(thetas, scores)


def test_a_lost_evaluation_is_not_told(tmp_path: Path) -> None:
    agent, log = _Told(), _Log()
    path = tmp_path / "journal.jsonl"
    result = _search(path, _Counting(breaking={1, 7}), agent, [log])
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
    first = _search(path, _Counting(breaking=breaking))
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:17]))
    known = sum(r["kind"] == "candidate" for r in read_journal(path))
    _same(_search(path, _Counting(breaking={n - known for n in breaking})), first)
    assert path.read_bytes() == whole


def test_too_many_lost_evaluations_stop_a_search_and_are_made_again(tmp_path: Path) -> None:
    """10 of 18 were lost, every final one too, and a loss was written nevertheless."""
    path = tmp_path / "journal.jsonl"
    task = _Counting(breaking={5, 7})
    for lost in (2, 4):
        with pytest.raises(SearchError, match=r"2 of 4 .* share 0.25 .* no memory\. .*resume"):
            _search(path, task)
        assert sum(r.get("status") == "lost" for r in read_journal(path)) == lost
        task.breaking, task.asked = {0, 1}, []  # the same two again
    records = read_journal(path)
    assert [r["ids"] for r in records if r["kind"] == "again"] == [["r01c01", "r01c03"]] * 2
    _same(_search(path), _search(tmp_path / "whole.jsonl"))


def test_a_final_without_verdict_stops_a_search_and_is_made_again(tmp_path: Path) -> None:
    """A lost final evaluation of one of two, for every rival of the identity."""
    path = tmp_path / "journal.jsonl"
    rivals = {14, 17, 19}  # under one of two seeds each
    with pytest.raises(NoVerdictError, match="No verdict") as caught:
        _search(path, _Counting(breaking=rivals), max_lost=0.5)
    assert str(caught.value).count("(1 of 2 lost)") == 3
    assert not [r for r in read_journal(path) if r["kind"] == "result"]
    task = _Counting()
    _same(_search(path, task), _search(tmp_path / "whole.jsonl"))
    assert len(task.asked) == 3


def test_a_data_error_stops_a_search_and_the_journal_resumes(whole, tmp_path: Path) -> None:
    class Damaged(_Counting):
        data_errors = (UnicodeError,)

        def evaluate(self, theta: np.ndarray, seed: int, budget: float = 1.0) -> ProxyResult:
            if len(self.asked) == 6:
                raise UnicodeError("7.png is no image")
            return super().evaluate(theta, seed, budget)

    path = tmp_path / "journal.jsonl"
    with pytest.raises(UnicodeError, match=r"7\.png"):
        _search(path, Damaged())
    _same(_search(path), whole[1])
    assert path.read_bytes() == whole[0]


# Callbacks.


def test_callbacks_are_told_everything_in_order(tmp_path: Path) -> None:
    log = _Log()
    result = _search(tmp_path / "journal.jsonl", callbacks=[log])
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


# Kills.


# Header, 4 candidates and a round three times, 8 of the final, the result.
@pytest.mark.parametrize("lines", [0, 3, 6, 16, 20, 24])
def test_resume_at_every_record_is_identical(whole, tmp_path: Path, lines: int) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"".join(whole[0].splitlines(keepends=True)[:lines]))
    _same(_search(path), whole[1])
    assert path.read_bytes() == whole[0]


@pytest.mark.parametrize("fraction", [0.01, 0.6])
def test_resume_at_torn_bytes_is_identical(whole, tmp_path: Path, fraction: float) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(whole[0][: int(fraction * len(whole[0]))])
    _same(_search(path), whole[1])
    assert path.read_bytes() == whole[0]


def test_a_stop_propagates_and_the_journal_resumes(whole, tmp_path: Path) -> None:
    path, log = tmp_path / "journal.jsonl", _Log()
    with pytest.raises(KeyboardInterrupt):
        _search(path, _Counting(crash_at=7), callbacks=[log])
    assert log.closed == 1
    task = _Counting()
    _same(_search(path, task), whole[1])
    assert len(task.asked) == 20 - 7
    assert path.read_bytes() == whole[0]


# A journal that belongs to something else.


@pytest.mark.parametrize("changes", [{"theta": [0.1, 0.2, 0.3]}, {"seed": 1}])
def test_foreign_candidates_are_refused(whole, tmp_path: Path, changes: dict) -> None:
    path = tmp_path / "journal.jsonl"
    header, first, *others = whole[0].splitlines(keepends=True)
    changed = json.dumps({**json.loads(first), **changes}).encode() + b"\n"
    path.write_bytes(b"".join([header, changed, *others]))
    with pytest.raises(JournalError, match="candidate r00c0"):
        _search(path)


# A limit of time. One evaluation takes a minute, a round 4.


class _Clocked(_Counting):
    def clock(self) -> float:
        return 60.0 * len(self.asked)


def _timed(path: Path, minutes: float, task: _Clocked, callbacks=()) -> SearchResult:
    settings = dataclasses.replace(SETTINGS, rounds=9, minutes=minutes)
    agent = PPO(IDENTITY, seed=1, epochs=5)
    with Journal.resume(path, dataclasses.asdict(settings)) as journal:
        executor = SerialExecutor(task)
        return run_search(agent, executor, journal, settings, callbacks, clock=task.clock)


@pytest.mark.parametrize(("minutes", "rounds"), [(1, 1), (19, 4)])
def test_a_round_that_would_not_end_in_time_is_not_begun(
    tmp_path: Path, minutes: float, rounds: int
) -> None:
    log = _Log()
    _timed(tmp_path / "journal.jsonl", minutes, _Clocked(), [log])
    assert [event.seconds for event in log.of(RoundEvent)] == [
        240.0 * i for i in range(1, rounds + 1)
    ]
    assert log.of(SelectionEvent)[0].rounds == rounds


@pytest.mark.parametrize("lines", [3, 24])
def test_a_search_with_a_limit_resumes_with_the_time_it_has_used(
    tmp_path: Path, lines: int
) -> None:
    """Header, then 4 candidates and a round, three times; a part of a round is made for free."""
    path = tmp_path / "journal.jsonl"
    whole = _timed(path, 13, _Clocked())
    kept = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(kept[:lines]))
    log = _Log()
    _same(_timed(path, 13, _Clocked(), [log]), whole)
    interrupted = (lines - 1) // 5
    free = 60.0 * ((lines - 1) % 5) if interrupted < 3 else 0.0
    expected = [240.0 * i - free * (i > interrupted) for i in (1, 2, 3)]
    assert [event.seconds for event in log.of(RoundEvent)] == expected


# Gains over the identity.

PAIRED = dataclasses.replace(SETTINGS, paired=True)


class _Lucky(_Counting):
    """The first round's seed is worth 0.4 to all."""

    def evaluate(self, theta: np.ndarray, seed: int, budget: float = 1.0) -> ProxyResult:
        result = super().evaluate(theta, seed, budget)
        luck = 0.4 if seed == candidate_seed(3, "search", 0) else 0.0
        return ProxyResult(0.6 * result.reward + luck)


def _paired(path: Path, task: _Lucky, settings: SearchSettings = PAIRED, callbacks=()):
    agent = _Told()
    with Journal.resume(path, dataclasses.asdict(settings)) as journal:
        executor = SerialExecutor(task, max_retries=0)
        return agent, run_search(agent, executor, journal, settings, callbacks)


def test_an_agent_is_told_gains_and_the_journal_keeps_rewards(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    agent, _ = _paired(path, _Lucky())
    records = {r["id"]: r for r in read_journal(path) if r["kind"] == "candidate"}
    for index in range(3):
        own = [records[f"r{index:02d}c{i:02d}"] for i in range(4)]
        assert own[0]["theta"] == IDENTITY.tolist()
        rewards = np.array([one["reward"] for one in own])
        np.testing.assert_array_equal(agent.told[index][1], rewards[1:] - rewards[0])
        assert (rewards[0] > 0.6) == (index == 0)


def test_the_best_by_gain_enter_the_final(tmp_path: Path) -> None:
    """Not those of the lucky round, which have the best rewards."""
    settings = dataclasses.replace(PAIRED, rounds=8)
    entered = []
    for paired in (True, False):
        log = _Log()
        own = dataclasses.replace(settings, paired=paired)
        _paired(tmp_path / f"{paired}.jsonl", _Lucky(), own, [log])
        names = [one.name for one in log.of(SelectionEvent)[0].finalists]
        entered.append(any(name.startswith("r00") for name in names))
    assert entered == [False, True]


@pytest.mark.parametrize("rungs", [0, 1])
def test_a_paired_search_resumes(tmp_path: Path, rungs: int) -> None:
    path, settings = tmp_path / "journal.jsonl", dataclasses.replace(PAIRED, rungs=rungs)
    _, whole = _paired(path, _Lucky(), settings)
    kept = path.read_bytes()
    path.write_bytes(b"".join(kept.splitlines(keepends=True)[:14]))
    _same(_paired(path, _Lucky(), settings)[1], whole)
    assert path.read_bytes() == kept
    ids = [r["id"] for r in read_journal(path) if r["kind"] == "candidate"]
    assert {f"r{index:02d}c00" for index in range(3)} <= set(ids)  # the reference is never stopped
