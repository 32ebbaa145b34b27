"""Successive halving: who goes on, what the agent is told, and that a kill changes nothing."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from small_searches import SETTINGS, assert_same, cut, result_of, small_search

from rl.executors import Candidate
from rl.halving import Ended, climb, evaluations, survivors, told_rewards


@pytest.mark.parametrize(
    ("rewards", "expected"),
    [
        ([0.1, 0.4, 0.3], [1, 2]),  # ceil(1.5)
        ([0.2, 0.2, 0.2, 0.2], [0, 1]),
        ([0.3, -1, -1, -1], [0]),
        ([-1, -1], []),
        ([math.nan, 0.3, math.nan, 0.1], [1, 3]),
    ],
)
def test_the_best_of_those_that_are_ok_go_on(rewards: list[float], expected: list[int]) -> None:
    assert survivors(list(map(result_of, rewards))) == expected


def _told(*rewards: tuple[float, ...]) -> tuple[list[float], list[str]]:
    """Of candidates with these rewards on their rungs, of which there are two."""
    ends = [
        Ended(Candidate("x", np.zeros(1), 0, 0.5 ** (3 - len(own))), tuple(map(result_of, own)))
        for own in rewards
    ]
    return told_rewards(ends), [end.status for end in ends]


def test_a_stopped_candidate_is_told_with_what_the_others_gained_but_below_them() -> None:
    told, statuses = _told(
        (0.25, 0.4375, 0.5),  # in full: +0.25 from the first rung, +0.0625 from the second
        (0.25, 0.5, 0.8125),  # +0.5625 and +0.3125: on average +0.1875 from the second
        (0.25, 0.25),  # 0.4375
        (0.1875, 0.4375),  # not 0.625, but 0.5
        (0.125,),  # (0.25 + 0.5625 + 0.1875 + 0.3125) / 4 more, but not more than 0.4375
        (0.0,),  # 0.328125
        (-1,),
    )
    assert told == pytest.approx([0.5, 0.8125, 0.4375, 0.5, 0.4375, 0.328125, 0.0])
    assert statuses == ["ok", "ok", *["stopped"] * 4, "failed"]


def test_a_reference_that_goes_on_although_it_was_beaten_is_no_bound() -> None:
    told, _ = _told((0.125, 0.25, 0.25), (0.5, 0.5, 0.625), (0.375,))
    assert told == pytest.approx([0.25, 0.625, 0.375 + 0.125])
    assert evaluations(7, 2) == 7 + 4 + 2
    assert evaluations(7, 2, never_stopped=1) == 7 + 5 + 4


def test_what_was_lost_is_not_told_and_counts_for_nobody() -> None:
    told, statuses = _told((0.5, 0.5, 0.25), (0.5, 0.5, math.nan), (0.5, math.nan), (0.25, 0.125))
    np.testing.assert_array_equal(told, [0.25, math.nan, math.nan, 0.0])
    assert statuses == ["ok", "lost", "lost", "stopped"]


def test_a_round_climbs_its_rungs() -> None:
    asked: list[list[tuple[str, float]]] = []
    rewards = {"a": 0.1, "b": 0.4, "c": 0.3, "d": -1.0}

    def evaluate(candidates):
        asked.append([(one.id, one.budget) for one in candidates])
        return [(one, result_of(rewards[one.id[0]])) for one in candidates]

    candidates = [Candidate(name, np.zeros(1), 7) for name in rewards]
    ends = climb(candidates, 2, evaluate)
    assert asked == [
        [("ak0", 0.25), ("bk0", 0.25), ("ck0", 0.25), ("dk0", 0.25)],
        [("bk1", 0.5), ("ck1", 0.5)],
        [("b", 1.0)],
    ]
    assert [len(end.results) for end in ends] == [1, 3, 2, 1]
    assert [end.evaluation.id for end in ends] == ["ak0", "b", "ck1", "dk0"]


def test_resume_with_rungs_is_identical(tmp_path: Path) -> None:
    path, settings = tmp_path / "journal.jsonl", dataclasses.replace(SETTINGS, samples=8, rungs=2)
    first = small_search(path, settings=settings)
    whole = cut(path, 20)
    assert_same(small_search(path, settings=settings), first)
    assert path.read_bytes() == whole
