"""Processes and Ray = serial, to the byte; runs one after the other; exceptions, deaths, timeouts.

The reasons of what is lost are those of test_serial.py.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import scripted_task as act
import torch
from scripted_task import OK, Scripted, Uneven, candidates, results, torch_threads
from small_searches import small_search

from rl.executors import (
    Candidate,
    Executor,
    ExecutorError,
    ProcessExecutor,
    SerialExecutor,
    make_executor,
)
from rl.executors.processes import available_cores
from rl.executors.serial import AttemptPolicy
from rl.executors.worker import Worker
from rl.proxy import ProxyTask, lost
from rl.signals import Interrupted, interruptible, time_limit

DRIVER = """
import time
from pathlib import Path
from scripted_task import Scripted, names_its_process, results
from rl.executors import ProcessExecutor

if __name__ == "__main__":
    (found,) = results(ProcessExecutor(Scripted(Path()), workers=1), names_its_process)
    print(int(found.scores["pid"]), flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Is there already: the executors of these tests use it and leave it."""
    ray = pytest.importorskip("ray")
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        quiet = {"include_dashboard": False, "log_to_driver": False, "configure_logging": False}
        ray.init("local", num_cpus=3, **quiet)
    signal.signal(signal.SIGTERM, handler)
    yield
    assert ray.is_initialized()
    ray.shutdown()


class Shared(NamedTuple):
    """Two workers that make two attempts; made where torch has 3 threads."""

    task: Scripted
    executor: Executor
    is_ray: bool

    @classmethod
    def of(cls, name: str, task: Scripted, **options: float) -> Shared:
        with torch_threads(3):
            executor = make_executor(name, task, workers=2, max_retries=1, **options)
        return cls(task, executor, name == "ray")


@pytest.fixture(scope="module")
def on_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    task = Scripted(tmp_path_factory.mktemp("processes"), otherwise=Uneven())
    shared = Shared.of("processes", task, timeout=5.0)
    with shared.executor:
        yield shared
    for process in _workers():
        process.join(10.0)
    assert not _workers()


def _workers() -> list[BaseProcess]:
    """Those of pools; other tests may have left children of other kinds."""
    children = multiprocessing.active_children()
    return [child for child in children if child.name.startswith("ForkServerProcess")]


@pytest.fixture(scope="module")
def on_ray(tmp_path_factory: pytest.TempPathFactory, cluster: None) -> Iterator[Shared]:
    """Where a worker dies in the midst of a search, too: its candidate is repeated."""
    home = tmp_path_factory.mktemp("ray")
    shared = Shared.of("ray", Scripted(home, otherwise=Uneven(deadly=home)))
    with shared.executor:
        yield shared


@pytest.fixture(params=["on_processes", "on_ray"])
def shared(request: pytest.FixtureRequest) -> Shared:
    there: Shared = request.getfixturevalue(request.param)
    return there


def test_serial_and_workers_write_the_same_journal(shared: Shared, tmp_path: Path) -> None:
    one, other = tmp_path / "serial.jsonl", tmp_path / "workers.jsonl"
    small_search(one, executor=SerialExecutor(Uneven(), max_retries=1), max_lost=1.0)
    small_search(other, executor=shared.executor, max_lost=1.0)
    assert (serial := one.read_bytes()) == other.read_bytes()
    assert b"2 attempts failed; the last: ArithmeticError: theta[2] is 0." in serial
    assert b"this theta was configured to fail" in serial
    assert (shared.task.home / "died").exists() == shared.is_ray


def test_two_workers_with_the_threads_of_this_process(shared: Shared) -> None:
    executor = shared.executor
    assert results(executor, act.counts_threads)[0].scores["threads"] == 3.0
    there: set[float] = set()
    while len(there) < 2:
        named = results(executor, *[act.names_its_process] * 2)
        there = {result.scores["pid"] for result in named}
    slow, *others = results(executor, act.is_slow, *[act.notes_the_end] * 4)
    assert slow.scores["end"] > min(other.scores["end"] for other in others)


def test_a_run_that_is_left_or_interrupted_frees_its_workers(shared: Shared) -> None:
    task, executor, is_ray = shared
    left = executor.run(candidates([act.is_fine, act.never_returns, act.never_returns]))
    assert next(left) == OK

    def send_when_it_hangs() -> None:
        while not task.marks(act.hangs):
            time.sleep(0.01)
        if is_ray:
            time.sleep(1.5)  # by then Ray looks at signals itself, and breaks if they raise
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=send_when_it_hangs)
    thread.start()
    with pytest.raises(Interrupted), interruptible():
        results(executor, act.hangs)
    thread.join()
    assert results(executor, act.is_fine) == [
        OK
    ]  # under the same id, in the place of what was left
    assert list(left) == []


def test_a_candidate_that_always_fails_is_lost(
    shared: Shared, caplog: pytest.LogCaptureFixture
) -> None:
    first, failed, last = results(shared.executor, act.is_fine, act.always_fails, act.is_fine)
    assert first == last == OK  # nobody else is touched
    assert failed.status == "lost"
    assert failed.reason == "2 attempts failed; the last: ValueError: no good"
    assert shared.task.marks(act.always_fails) == 2
    assert "candidate c1: attempt 1 of 2 failed\nTraceback" in caplog.text
    assert caplog.text.count("ValueError: no good\nat all") == 2


def test_a_data_error_ends_the_run_at_once(shared: Shared) -> None:
    task, executor, _ = shared
    with pytest.raises(act.Damaged, match=r"images/7\.png"):
        results(executor, act.is_fine, act.has_bad_data, act.is_fine)
    assert task.marks(act.has_bad_data) == 1
    assert results(executor, act.is_fine) == [OK]


def test_a_worker_that_cannot_make_its_task() -> None:
    def impossible() -> ProxyTask:
        raise FileNotFoundError("there is no data set")

    worker = Worker(impossible, AttemptPolicy(), torch.get_num_threads(), time_limit)
    error, _ = worker.evaluate(*candidates([act.is_fine]))
    assert isinstance(error, ExecutorError)
    assert "could not make its task: FileNotFoundError: there is no data set" in str(error)


class _Unsendable(FileNotFoundError):
    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")


def test_an_error_that_cannot_be_sent_is_told(tmp_path: Path) -> None:
    def damaged(task: Scripted) -> None:
        raise _Unsendable("images/7.png", "no image")

    task = Scripted(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(act, "ACTS", [damaged])
        worker = Worker(lambda: task, AttemptPolicy(), torch.get_num_threads(), time_limit)
        error, _ = worker.evaluate(Candidate("c0", np.array([0.5]), 0))
    assert isinstance(error, ExecutorError)
    assert str(error).startswith("_Unsendable: images/7.png: no image")


def test_a_process_that_hangs_is_stopped_and_one_that_dies_ends_the_run(
    on_processes: Shared,
) -> None:
    executor = on_processes.executor
    hung, fine = results(executor, act.hangs, act.is_fine)
    assert (hung.status, hung.reason, fine) == ("lost", "stopped after 5 s, the timeout", OK)
    run = executor.run(candidates([act.is_fine, act.is_slow, act.always_dies]))
    with pytest.raises(ExecutorError, match=r"a worker process died.*use fewer workers"):
        list(run)
    assert results(executor, act.is_fine) == [OK]


def test_executors_of_processes_end_only_their_own(tmp_path: Path) -> None:
    """And one whose worker died between two runs starts others."""
    task = Scripted(tmp_path)
    with ProcessExecutor(task, workers=1) as one, ProcessExecutor(task, workers=1) as other:
        (first,) = results(one, act.names_its_process)
        assert results(other, act.is_fine) == [OK]
        one.close()
        assert results(other, act.is_fine) == [OK]
        (first,) = results(one, act.names_its_process)
        os.kill(int(first.scores["pid"]), signal.SIGKILL)
        time.sleep(0.5)
        with pytest.raises(ExecutorError, match="a worker process died"):
            results(one, act.is_fine)
        assert results(one, act.is_fine) == [OK]


def test_processes_end_with_a_killed_driver(tmp_path: Path) -> None:
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    paths = os.pathsep.join(path for path in sys.path if path)
    driver = subprocess.Popen(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": paths},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
    )
    assert driver.stdout is not None and driver.stdout.readline()
    driver.kill()
    driver.communicate(timeout=30)  # until no process has its output open


def test_processes_for_the_cores() -> None:
    with torch_threads(1):
        assert ProcessExecutor(Scripted(Path()))._workers == available_cores()
    with pytest.raises(ValueError, match=r"workers >= 1.*-1"):
        ProcessExecutor(Scripted(Path()), workers=-1)


def test_a_result_that_cannot_be_brought(shared: Shared) -> None:
    task, executor, _ = shared
    found, last = results(executor, act.cannot_be_pickled, act.is_fine)
    assert found.status == "lost" and re.fullmatch("1 attempt failed: .+", found.reason)
    assert (task.marks(act.cannot_be_pickled), last) == (1, OK)


def test_a_ray_worker_that_always_dies(on_ray: Shared) -> None:
    from ray.exceptions import RayActorError

    died: Future[Any] = Future()
    died.set_exception(RayActorError())
    (candidate,) = candidates([act.always_dies])
    found = on_ray.executor._result(candidate, died)
    assert found == lost("2 attempts failed; the last: the worker's process died")


def test_timeouts_of_ray(cluster: None, tmp_path: Path) -> None:
    """A worker that takes longer than this to begin is not late, nor is a candidate that waits.

    A worker that was ended does not take the next candidate with it.
    """
    task = Scripted(tmp_path)
    options = {"workers": 1, "max_retries": 0, "timeout": 1.0, "threads": 2}
    with make_executor("ray", task, **options) as executor:
        acts = [act.is_fine, act.hangs, act.never_returns, act.counts_threads]
        fine, stopped, stuck, counted = results(executor, *acts)
    assert (fine, counted.scores["threads"]) == (OK, 2.0)
    assert (stopped.status, stopped.reason) == ("lost", "stopped after 1 s, the timeout")
    assert (stuck.status, stuck.reason) == ("lost", "1 attempt failed: the worker's process died")
    assert task.marks(act.never_returns) == 1
