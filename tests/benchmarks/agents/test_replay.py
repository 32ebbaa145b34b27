"""A proxy made of journals: its answers, and whether what it says of its error is true."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoseg_core import SearchSpace
from benchmarks.agents.regression import held_out
from benchmarks.agents.replay import Replay, from_journals
from rl.journal import JournalError

SPACE = SearchSpace("mAcc")
OPTIMUM = np.array([0.2, 0.8, 0.3, 0.7, 0.4, 0.6])
NOISE = 0.01


def _true(theta: np.ndarray) -> float:
    return 0.6 - 0.4 * float(np.mean((theta - OPTIMUM) ** 2)) - 0.3 * abs(theta[0] - 0.2)


def _record(index: int, theta: np.ndarray, reward: float, **changes: Any) -> dict[str, Any]:
    scores = {"mAcc": reward, "mIoU": reward / 2, "BF1": None}
    record = {"kind": "candidate", "id": f"r00c{index:02}", "seed": 1, "theta": theta.tolist()}
    return {**record, "status": "ok", "reward": reward, "scores": scores, "reason": "", **changes}


def _records(count: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    thetas = rng.random((count, SPACE.dim))
    return [_record(i, t, _true(t) + NOISE * rng.normal()) for i, t in enumerate(thetas)]


def _write(path: Path, records: list[dict[str, Any]], space: dict[str, Any] | None = None) -> Path:
    header = {"format": 1, "kind": "header", "space": space or SPACE.to_dict()}
    path.write_text("".join(json.dumps(one) + "\n" for one in [header, *records]))
    return path


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    return from_journals(_write(tmp_path_factory.mktemp("replay") / "journal", _records(60)))


def test_the_error_it_states_is_that_on_fresh_thetas(task: Replay) -> None:
    rng = np.random.default_rng(99)
    thetas = rng.random((300, SPACE.dim))
    errors = [task.evaluate(t, 0).reward - _true(t) - NOISE * rng.normal() for t in thetas]
    assert task.error.rmse == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=0.35)


def test_the_statement_says_what_it_rests_on(tmp_path: Path) -> None:
    records = [*_records(60), _record(60, OPTIMUM, 0.0, status="failed", reason="loss is NaN")]
    again = [_record(61 + i, np.array(one["theta"]), 0.5) for i, one in enumerate(records[:2])]
    rung = {**_record(70, OPTIMUM, 0.1), "kind": "rung", "budget": 0.5}  # left out
    error = from_journals(_write(tmp_path / "journal.jsonl", [*records, *again, rung])).error
    assert (error.candidates, error.thetas, error.failed) == (62, 60, 1)
    assert str(error).startswith("regression over 62 evaluations of 60 thetas (1 failed ones left")
    assert f"RMSE {error.rmse:.4f}" in str(error) and f"R^2 {error.explained:.2f}" in str(error)
    assert error.explained == pytest.approx(1 - error.rmse**2 / error.spread**2)


def test_noise_is_that_of_one_evaluation(task: Replay) -> None:
    noisy = Replay(task.thetas, task.rewards, SPACE, noise=True)
    thetas = np.random.default_rng(0).random((200, 6))
    errors = [noisy.evaluate(t, 1).reward - task.evaluate(t, 1).reward for t in thetas]
    assert np.std(errors) == pytest.approx(noisy.error.noise, rel=0.2)
    assert noisy.value(thetas[0]) == task.evaluate(thetas[0], 0).reward
    first = noisy.evaluate(thetas[0], 1)
    assert first == noisy.evaluate(thetas[0], 1) != noisy.evaluate(thetas[0], 2)
    assert first.scores["mAcc"] == first.reward


def test_the_maximum_is_the_models_highest_point(task: Replay) -> None:
    thetas = np.random.default_rng(0).random((500, 6))
    assert max(task.evaluate(t, 0).reward for t in thetas) <= task.maximum < _true(OPTIMUM) + 0.03


SAME = [_record(i, OPTIMUM, 0.5) for i in range(40)]


@pytest.mark.parametrize(
    ("text", "kind", "named"),
    [
        (None, FileNotFoundError, "journal"),
        ("", ValueError, "journal.*space"),
        (SAME, ValueError, "found 1"),
        ([*_records(30)[1:], {**_records(1)[0], "theta": None}], JournalError, "line 31"),
    ],
)
def test_journals_that_cannot_be_used(
    text: Any, kind: type[Exception], named: str, tmp_path: Path
) -> None:
    path = tmp_path / "journal"
    if isinstance(text, list):
        _write(path, text)
    elif text is not None:
        path.write_text(text)
    with pytest.raises(kind, match=named):
        from_journals(path)


def test_spaces_must_be_one(tmp_path: Path) -> None:
    path = _write(tmp_path / "macc", _records(30))
    other = _write(tmp_path / "gacc", _records(30), SearchSpace("gAcc").to_dict())
    assert from_journals(path, space=SearchSpace("mAcc")).space == SPACE
    with pytest.raises(ValueError, match=r"gacc is of a search over .*gAcc.*mAcc"):
        from_journals([path, other])


# What is held out.


def _data(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    thetas = rng.random((n, 3))
    smooth = np.sin(3 * thetas[:, 0]) + thetas[:, 1] ** 2
    return thetas, smooth + rng.normal(scale=0.05, size=n)


def test_a_held_out_theta_is_not_known_from_its_repeats() -> None:
    rng = np.random.default_rng(0)
    thetas = np.repeat(rng.random((15, 3)), 2, axis=0)
    rewards = np.repeat(rng.normal(size=15), 2)  # no rule to find, only repeats
    assert np.std(rewards - held_out(thetas, rewards)) > 0.8 * rewards.std()


def test_what_a_held_out_theta_earned_plays_no_part() -> None:
    thetas, rewards = _data(20)
    lie = rewards.copy()
    lie[7] += 10.0
    honest, misled = held_out(thetas, rewards), held_out(thetas, lie)
    assert honest[7] == misled[7]
    assert not np.array_equal(honest, misled)
