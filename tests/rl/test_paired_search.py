"""Gains over the identity in the place of rewards."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from small_searches import IDENTITY, SETTINGS, Counting, Log, Told, assert_same, cut, small_search

from rl.events import SelectionEvent
from rl.journal import read_journal
from rl.proxy import ProxyResult, failed
from rl.search import SearchError, SearchSettings, candidate_seed

PAIRED = dataclasses.replace(SETTINGS, paired=True)


class _Lucky(Counting):
    """The first round's seed is worth 0.4 to all."""

    def evaluate(self, theta: np.ndarray, seed: int, budget: float = 1.0) -> ProxyResult:
        result = super().evaluate(theta, seed, budget)
        luck = 0.4 if seed == candidate_seed(3, "search", 0) else 0.0
        return ProxyResult(0.6 * result.reward + luck)


def test_an_agent_is_told_gains_and_the_journal_keeps_rewards(tmp_path: Path) -> None:
    path, agent = tmp_path / "journal.jsonl", Told()
    small_search(path, _Lucky(), agent, settings=PAIRED)
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
        log = Log()
        own = dataclasses.replace(settings, paired=paired)
        small_search(tmp_path / f"{paired}.jsonl", _Lucky(), Told(), [log], own)
        names = [one.name for one in log.of(SelectionEvent)[0].finalists]
        entered.append(any(name.startswith("r00") for name in names))
    assert entered == [False, True]


@pytest.mark.parametrize("rungs", [0, 1])
def test_a_paired_search_resumes(tmp_path: Path, rungs: int) -> None:
    path, settings = tmp_path / "journal.jsonl", dataclasses.replace(PAIRED, rungs=rungs)
    whole = small_search(path, _Lucky(), Told(), settings=settings)
    kept = cut(path, 14)
    assert_same(small_search(path, _Lucky(), Told(), settings=settings), whole)
    assert path.read_bytes() == kept
    ids = [r["id"] for r in read_journal(path) if r["kind"] == "candidate"]
    assert {f"r{index:02d}c00" for index in range(3)} <= set(ids)  # the reference is never stopped


def test_a_reward_of_the_identity_alone_is_nothing_found(tmp_path: Path) -> None:
    class OnlyIdentity(_Lucky):
        def evaluate(self, theta: np.ndarray, seed: int, budget: float = 1.0) -> ProxyResult:
            whole = np.array_equal(theta, IDENTITY)
            return super().evaluate(theta, seed, budget) if whole else failed("the loss is nan")

    with pytest.raises(SearchError, match=r"no candidate can be compared: .* the loss is nan"):
        small_search(tmp_path / "journal.jsonl", OnlyIdentity(), Told(), settings=PAIRED)


def test_a_pair_is_two() -> None:
    with pytest.raises(ValueError, match="samples must be >= 2, got 1"):
        SearchSettings(rounds=1, samples=1, paired=True)
