"""The serial executor: in order, lazily; and the policy for what goes wrong, which all share."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from rl.executors import Candidate, SerialExecutor
from rl.proxy import ProxyResult, failed, lost
from rl.signals import Interrupted


class _Damaged(ValueError):
    pass


class _Recorder:
    """Keeps the seeds it saw; `act` says what happens to the n-th evaluation, n = 1, 2, …"""

    data_errors = (_Damaged,)

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


def _candidates(*values: float) -> list[Candidate]:
    return [Candidate(f"c{i}", np.array([value]), i) for i, value in enumerate(values)]


def _results(executor: SerialExecutor, *values: float) -> list[ProxyResult]:
    return [result for _, result in executor.run(_candidates(*values))]


def test_in_order_and_lazily() -> None:
    task = _Recorder()
    results = SerialExecutor(task).run(_candidates(0.1, 0.2))
    assert task.seeds == []
    candidate, _ = next(results)
    assert (candidate.id, candidate.theta[0], task.seeds) == ("c0", 0.1, [0])
    assert next(results)[0].id == "c1"


def test_an_id_twice_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="ids of their own, got more than one of: c0"):
        SerialExecutor(_Recorder()).run(_candidates(0.1) * 2)


def test_a_context_manager() -> None:
    with SerialExecutor(_Recorder()) as executor:
        assert _results(executor, 0.1) == [ProxyResult(0.5)]


# What goes wrong.


def test_an_exception_is_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    task = _Recorder(_raise(KeyError("a bug"), 1, 2))
    assert _results(SerialExecutor(task), 0.1) == [ProxyResult(0.5)]
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
    results = _results(SerialExecutor(task, max_retries=retries), 0.1, 0.2)
    assert results == [lost(reason), ProxyResult(0.5)]  # and the search goes on
    assert task.seeds == [0] * (retries + 1) + [1]


def test_an_answer_of_another_kind_is_a_failed_attempt() -> None:
    (result,) = _results(SerialExecutor(_Recorder(lambda n: 0.7)), 0.1)
    assert result.reason.endswith(
        "TypeError: _Recorder.evaluate must return a ProxyResult, gave float"
    )


@pytest.mark.parametrize(
    "error",
    [
        _Damaged("images/7.png is no image"),
        FileNotFoundError(2, "No such file or directory", "images/7.png"),
        OSError("Caught OSError in DataLoader worker process 0.\nOSError: images/7.png"),
        OSError(28, "No space left on device"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_data_error_ends_the_run_at_once(error: Exception) -> None:
    task = _Recorder(_raise(error))
    with pytest.raises(type(error)) as caught:
        _results(SerialExecutor(task), 0.1, 0.2)
    assert caught.value is error
    assert task.seeds == [0]


def test_a_lost_answer_is_a_failed_attempt() -> None:
    task = _Recorder(lambda n: lost("no memory") if n == 1 else None)
    assert _results(SerialExecutor(task), 0.1) == [ProxyResult(0.5)]


def test_failed_is_an_answer() -> None:
    task = _Recorder(lambda n: failed("the loss is not finite"))
    assert _results(SerialExecutor(task), 0.1) == [failed("the loss is not finite")]
    assert task.seeds == [0]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), Interrupted(15)])
def test_a_wish_to_stop_passes_through(error: BaseException) -> None:
    task = _Recorder(_raise(error))
    with pytest.raises(type(error)):
        _results(SerialExecutor(task), 0.1)
    assert task.seeds == [0]


def test_a_timeout_is_lost_at_once(caplog: pytest.LogCaptureFixture) -> None:
    task = _Recorder(lambda n: time.sleep(30) if n == 1 else None)
    start = time.monotonic()
    results = _results(SerialExecutor(task, timeout=0.05), 0.1, 0.2)
    assert results == [lost("stopped after 0.05 s, its timeout"), ProxyResult(0.5)]
    assert time.monotonic() - start < 25
    assert task.seeds == [0, 1]
    assert "candidate c0: attempt 1 of 3 failed\nstopped after 0.05 s" in caplog.text


def test_each_attempt_has_the_whole_timeout() -> None:
    def act(n: int) -> None:
        time.sleep(0.4)
        _raise(ValueError("no"), 1, 2)(n)

    assert _results(SerialExecutor(_Recorder(act), timeout=1.0), 0.1) == [ProxyResult(0.5)]


def test_a_task_that_turns_the_timeout_into_its_own_error_is_timed_out_too() -> None:
    def act(n: int) -> None:
        try:
            time.sleep(30)
        except BaseException as error:
            raise RuntimeError("something went wrong") from error

    task = _Recorder(act)
    (result,) = _results(SerialExecutor(task, timeout=0.05), 0.1)
    assert result.reason == "stopped after 0.05 s, its timeout"
    assert task.seeds == [0]


def test_a_timeout_outside_the_main_thread_is_refused() -> None:
    errors = []

    def work() -> None:
        try:
            _results(SerialExecutor(_Recorder(), timeout=1.0), 0.1)
        except RuntimeError as error:
            errors.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "the ray executor" in errors[0]


def test_the_log_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    _results(SerialExecutor(_Recorder(_raise(MemoryError("gone"), 1))), 0.1)
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_retries": -1}, "max_retries must be a whole number >= 0, got -1"),
        ({"max_retries": 1.5}, "max_retries must be a whole number >= 0, got 1.5"),
        ({"timeout": 0}, "timeout is in seconds, > 0, or None for no limit; got 0"),
        ({"timeout": float("nan")}, "got nan"),
        ({"timeout": float("inf")}, "got inf"),
    ],
)
def test_wrong_settings_are_named(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SerialExecutor(_Recorder(), **options)
