"""Processes = serial, to the byte; one run after the other; exceptions, deaths and timeouts."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import scripted_task as act
import torch
from scripted_task import OK, Scripted, Uneven, candidates, results, torch_threads

from rl.agents import PPO
from rl.executors import Executor, ExecutorError, ProcessExecutor, SerialExecutor
from rl.executors.processes import available_cores
from rl.executors.serial import AttemptPolicy
from rl.executors.worker import Worker
from rl.journal import Journal
from rl.proxy import ProxyTask
from rl.search import SearchSettings, run_search
from rl.signals import Interrupted, interruptible, time_limit


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Scripted:
    return Scripted(tmp_path_factory.mktemp("shared"), otherwise=Uneven())


@pytest.fixture(scope="module")
def shared(task: Scripted) -> Iterator[ProcessExecutor]:
    """Two workers that make two attempts; made where torch has 3 threads."""
    with torch_threads(3):
        executor = ProcessExecutor(task, workers=2, max_retries=1, timeout=5.0)
    with executor:
        yield executor
    for process in multiprocessing.active_children():
        process.join(10.0)
    assert not multiprocessing.active_children()


def _journal(path: Path, executor: Executor) -> bytes:
    agent = PPO(np.array([0.5, 0.5, 0.5]), seed=1)
    with Journal.create(path, {}) as journal:
        settings = SearchSettings(rounds=2, samples=5, seed=3, top_k=2, reseeds=2)
        run_search(agent, executor, journal, settings, max_lost=1.0)
    return path.read_bytes()


def test_serial_and_processes_write_the_same_journal(
    shared: ProcessExecutor, tmp_path: Path
) -> None:
    serial = _journal(tmp_path / "serial", SerialExecutor(Uneven(), max_retries=1))
    assert serial == _journal(tmp_path / "processes", shared)
    assert b"2 attempts failed; the last: ArithmeticError" in serial


def test_two_workers_with_the_threads_of_this_process(shared: ProcessExecutor) -> None:
    assert results(shared, act.counts_threads)[0].scores["threads"] == 3.0
    slow, *others = results(shared, act.is_slow, *[act.notes_the_end] * 4)
    assert slow.scores["end"] > min(other.scores["end"] for other in others)


def test_workers_for_the_cores() -> None:
    with torch_threads(1):
        assert ProcessExecutor(Scripted(Path()))._workers == available_cores()
    with pytest.raises(ValueError, match=r"workers >= 1.*-1"):
        ProcessExecutor(Scripted(Path()), workers=-1)


def test_a_run_that_is_left_half_way_frees_its_workers(shared: ProcessExecutor) -> None:
    left = shared.run(candidates([act.is_fine, act.hangs, act.hangs]))
    assert next(left) == OK
    assert results(shared, act.is_fine, act.is_fine) == [OK] * 2
    assert list(left) == []


def test_a_signal_acts_while_workers_work(shared: ProcessExecutor, task: Scripted) -> None:
    before = task.marks(act.hangs)

    def send_when_it_hangs() -> None:
        while task.marks(act.hangs) == before:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=send_when_it_hangs)
    thread.start()
    with pytest.raises(Interrupted), interruptible():
        results(shared, act.hangs)
    thread.join()
    assert results(shared, act.is_fine) == [OK]


# What goes wrong. The reasons are those of test_serial.py.


def test_a_candidate_that_fails_or_hangs_is_lost(
    shared: ProcessExecutor, task: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    first, failed, hung, last = results(
        shared, act.is_fine, act.always_fails, act.hangs, act.is_fine
    )
    assert first == last == OK
    assert (failed.status, hung.status) == ("lost", "lost")
    assert re.fullmatch("2 attempts failed; the last: ValueError: no good", failed.reason)
    assert hung.reason == "stopped after 5 s, the timeout"
    assert task.marks(act.always_fails) == 2
    assert caplog.text.count("ValueError: no good\nat all") == 2


def test_a_worker_that_dies_ends_the_run_but_not_the_executor(shared: ProcessExecutor) -> None:
    run = shared.run(candidates([act.is_fine, act.is_slow, act.always_dies]))
    with pytest.raises(ExecutorError, match=r"a worker process died.*use fewer workers"):
        list(run)
    assert results(shared, act.is_fine) == [OK]


def test_a_data_error_ends_the_run_at_once(shared: ProcessExecutor) -> None:
    with pytest.raises(act.Damaged, match=r"images/7\.png"):
        results(shared, act.is_fine, act.has_bad_data, act.is_fine)
    assert results(shared, act.is_fine) == [OK]


def test_a_worker_that_cannot_make_its_task() -> None:
    def impossible() -> ProxyTask:
        raise FileNotFoundError("there is no data set")

    worker = Worker(impossible, AttemptPolicy(), torch.get_num_threads(), time_limit)
    error, _ = worker.evaluate(*candidates([act.is_fine]))
    assert isinstance(error, ExecutorError)
    assert "could not make its task: FileNotFoundError: there is no data set" in str(error)
