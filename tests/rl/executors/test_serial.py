"""The serial executor: in order, lazily; what goes wrong, which all share; executors by name."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scripted_task import Damaged

from autoseg_core import SearchSpace
from rl.executors import Candidate, Executor, ExecutorError, SerialExecutor, make_executor
from rl.proxies import Quadratic
from rl.proxy import ProxyResult, lost
from rl.signals import Interrupted


class _Recorder:
    """Keeps the seeds it saw; `act` says what happens to the n-th evaluation, n = 1, 2, …"""

    data_errors = (Damaged,)

    def __init__(self, act: Callable[[int], object] = lambda n: None) -> None:
        self.seeds: list[int] = []
        self.act = act

    def evaluate(self, theta: np.ndarray, seed: int, budget: float = 1.0) -> ProxyResult:
        self.seeds.append(seed)
        theta[:] = 0.0  # a rude task must not change the candidate
        return self.act(len(self.seeds)) or ProxyResult(0.5)


def _raise(error: BaseException, *times: int) -> Callable[[int], None]:
    def act(n: int) -> None:
        if not times or n in times:
            raise error

    return act


def _candidates(number: int) -> list[Candidate]:
    return [Candidate(f"c{i}", np.array([0.1]), seed=i) for i in range(number)]


def _results(executor: Executor, number: int) -> list[ProxyResult]:
    return list(executor.run(_candidates(number)))


def test_in_order_and_lazily() -> None:
    task = _Recorder()
    results = SerialExecutor(task).run(_candidates(2))
    assert task.seeds == []
    assert (next(results), task.seeds) == (ProxyResult(0.5), [0])
    assert (len(list(results)), task.seeds) == (1, [0, 1])


def test_an_exception_is_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    task = _Recorder(_raise(KeyError("a bug"), 1, 2))
    assert _results(SerialExecutor(task), 1) == [ProxyResult(0.5)]
    assert len(task.seeds) == 3
    assert "candidate c0: attempt 1 of 3 failed\nTraceback" in caplog.text
    assert "attempt 2 of 3 failed" in caplog.text
    assert caplog.text.count("KeyError: 'a bug'") == 2


@pytest.mark.parametrize(
    ("retries", "error", "reason"),
    [
        (2, ValueError("no good\nat all"), "3 attempts failed; the last: ValueError: no good"),
        (1, RuntimeError(), "2 attempts failed; the last: RuntimeError"),
        (0, MemoryError("gone"), "1 attempt failed: MemoryError: gone"),
        (0, ConnectionError("gone"), "1 attempt failed: ConnectionError: gone"),
        (0, OSError(12, "no memory"), "1 attempt failed: OSError: [Errno 12] no memory"),
    ],
)
def test_lost_after_all_attempts(retries: int, error: Exception, reason: str) -> None:
    task = _Recorder(_raise(error, *range(1, retries + 2)))
    results = _results(SerialExecutor(task, max_retries=retries), 2)
    assert results == [lost(reason), ProxyResult(0.5)]  # and the search goes on
    assert task.seeds == [0] * (retries + 1) + [1]


@pytest.mark.parametrize(
    "error",
    [
        Damaged("images/7.png is no image"),
        FileNotFoundError(2, "No such file or directory", "images/7.png"),
        OSError("Caught OSError in DataLoader worker process 0.\nOSError: images/7.png"),
        OSError(28, "No space left on device"),
        KeyboardInterrupt(),
        SystemExit(3),
        Interrupted(15),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_data_error_and_a_wish_to_stop_end_the_run_at_once(error: BaseException) -> None:
    task = _Recorder(_raise(error))
    with pytest.raises(type(error)) as caught:
        _results(SerialExecutor(task), 2)
    assert caught.value is error
    assert task.seeds == [0]


def test_a_theta_of_another_dimension_ends_the_run_at_once() -> None:
    task = Quadratic(np.full(6, 0.5), space=SearchSpace("mAcc"))
    with pytest.raises(ExecutorError, match=r"expected thetas of shape \(6,\).*got \(1,\)"):
        _results(SerialExecutor(task), 1)


@pytest.mark.parametrize(
    ("given", "words"),
    [(ProxyResult(55.0), "55"), (ProxyResult(-0.3), "-0.3"), (0.5, "ProxyResult, got float")],
)
def test_what_is_no_reward_ends_the_search_at_once(given: Any, words: str) -> None:
    task = _Recorder(lambda number: given)
    with pytest.raises(ExecutorError, match=words):
        _results(SerialExecutor(task), 2)
    assert len(task.seeds) == 1


@pytest.mark.parametrize("options", [{"timeout": 0}, {"timeout": -1.0}, {"max_retries": -1}])
def test_settings_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected max_retries >= 0 and a timeout of > 0"):
        SerialExecutor(_Recorder(), **options)


def test_a_timeout_is_lost_at_once(caplog: pytest.LogCaptureFixture) -> None:
    task = _Recorder(lambda n: time.sleep(30) if n == 1 else None)
    start = time.monotonic()
    results = _results(SerialExecutor(task, timeout=0.05), 2)
    assert results == [lost("stopped after 0.05 s, the timeout"), ProxyResult(0.5)]
    assert time.monotonic() - start < 25
    assert task.seeds == [0, 1]
    assert "candidate c0: attempt 1 of 3 failed\nstopped after 0.05 s" in caplog.text


def test_serial_by_name_makes_the_task_here() -> None:
    with make_executor("serial", _Recorder, max_retries=1, timeout=5.0) as executor:
        assert isinstance(executor, SerialExecutor)
        assert (executor.policy.max_retries, executor.policy.timeout) == (1, 5.0)
        assert _results(executor, 1) == [ProxyResult(0.5)]
    with pytest.raises(ValueError, match=r"'dask'; known: serial, processes, ray"):
        make_executor("dask", _Recorder)
