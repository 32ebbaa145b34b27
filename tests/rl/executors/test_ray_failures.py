"""Exceptions, deaths and timeouts in Ray's workers. The reasons are those of test_serial.py."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator

import pytest

pytest.importorskip("ray")

import scripted_task as act
from scripted_task import OK, Act, Scripted, results

from rl.executors import ExecutorError
from rl.executors.ray import RayExecutor
from rl.executors.ray_cluster import join
from rl.proxy import ProxyResult, ProxyTask, failed

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture(scope="module")
def impatient(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayExecutor]:
    """An executor with a timeout of 2 s and one worker, of two threads."""
    task = Scripted(tmp_path_factory.mktemp("impatient"))
    with RayExecutor(task, workers=1, timeout=2.0, threads=2) as executor:
        yield executor


@pytest.mark.parametrize(
    ("what", "result", "attempts"),
    [
        (act.fails_once, OK, 2),
        (act.always_fails, "2 attempts failed; the last: ValueError: no good", 2),
        (act.always_dies, "2 attempts failed; the last: the worker's process died", 2),
        (act.is_not_finite, failed("the loss is not finite"), 1),
        (act.cannot_be_pickled, "1 attempt failed: .*", 1),
    ],
)
def test_what_becomes_of_a_candidate(
    shared: RayExecutor,
    shared_task: Scripted,
    what: Act,
    result: ProxyResult | str,
    attempts: int,
) -> None:
    first, found, last = results(shared, act.is_fine, what, act.is_fine)
    assert first == last == OK  # nobody else is touched
    if isinstance(result, str):
        assert found.status == "lost" and re.fullmatch(result, found.reason)
    else:
        assert found == result
    assert shared_task.marks(what) == attempts


def test_failed_attempts_are_logged(shared: RayExecutor, caplog: pytest.LogCaptureFixture) -> None:
    results(shared, act.always_fails)
    assert "candidate c0: attempt 1 of 2 failed\nTraceback" in caplog.text
    assert caplog.text.count("ValueError: no good\nat all") == 2


@pytest.mark.parametrize(
    ("what", "kind"), [(act.misses_a_file, FileNotFoundError), (act.has_bad_data, act.Damaged)]
)
def test_a_data_error_ends_the_run_at_once(
    shared: RayExecutor, shared_task: Scripted, what: Act, kind: type[Exception]
) -> None:
    with pytest.raises(kind, match=r"images/7\.png"):
        results(shared, act.is_fine, what, act.is_fine)
    assert shared_task.marks(what) == 1
    assert results(shared, act.is_fine) == [OK]


def _impossible() -> ProxyTask:
    raise FileNotFoundError("there is no data set")


def test_timeouts(impatient: RayExecutor) -> None:
    # That the worker takes longer than this to begin is not being late, nor is waiting.
    slow, stopped, last = results(impatient, act.is_slow, act.hangs, act.counts_threads)
    assert slow.status == "ok"
    assert (stopped.status, stopped.reason) == ("lost", "stopped after 2 s, its timeout")
    assert last.reward == 2.0


def test_code_that_no_signal_reaches_is_ended_with_its_process(
    cluster: None, task: Scripted
) -> None:
    with RayExecutor(task, workers=1, max_retries=0, timeout=0.5) as executor:
        stuck, last = results(executor, act.never_returns, act.is_fine)
    assert (stuck.reason, last) == ("1 attempt failed: the worker's process died", OK)


def test_a_worker_that_cannot_be_made() -> None:
    words = "could not make its task: FileNotFoundError: there is no data set"
    with (
        RayExecutor(_impossible, workers=1, max_retries=0) as executor,
        pytest.raises(ExecutorError, match=words),
    ):
        results(executor, act.is_fine)


def test_an_address_where_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    start = time.monotonic()
    with pytest.raises(ExecutorError, match=rf"at '{address}': .*refused.*RAY_ADDRESS"):
        join(address)
    assert time.monotonic() - start < 20  # Ray alone would need a quarter of an hour
