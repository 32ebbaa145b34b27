"""Ray = serial, to the byte; one run after the other; room; exceptions, deaths and timeouts."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

ray = pytest.importorskip("ray")

import scripted_task as act  # noqa: E402
from scripted_task import (  # noqa: E402
    OK,
    Act,
    Scripted,
    Uneven,
    candidates,
    results,
    torch_threads,
)

from rl.agents import PPO  # noqa: E402
from rl.executors import ExecutorError, SerialExecutor  # noqa: E402
from rl.executors.ray import RayExecutor  # noqa: E402
from rl.executors.ray_cluster import check_reachable, fitting  # noqa: E402
from rl.journal import Journal  # noqa: E402
from rl.search import SearchSettings, run_search  # noqa: E402
from rl.signals import Interrupted, interruptible  # noqa: E402

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Is there already: the executors of these tests use it and leave it.

    Four workers fit: those of `shared` stay while others come and go.
    """
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(
            "local",
            num_cpus=4,
            num_gpus=1,  # Ray counts what it is told; there need be none
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
        )
    signal.signal(signal.SIGTERM, handler)
    yield
    assert ray.is_initialized()
    ray.shutdown()


@pytest.fixture(scope="module")
def shared_task(tmp_path_factory: pytest.TempPathFactory) -> Scripted:
    home = tmp_path_factory.mktemp("shared")
    return Scripted(home, otherwise=Uneven(deadly=home))


@pytest.fixture(scope="module")
def shared(cluster: None, shared_task: Scripted) -> Iterator[RayExecutor]:
    """Two workers that make two attempts; made where torch has 3 threads."""
    with torch_threads(3):
        executor = RayExecutor(shared_task, workers=2, max_retries=1)
    with executor:
        yield executor


# The same search.


def _journal(path: Path, executor: SerialExecutor | RayExecutor) -> bytes:
    agent = PPO(np.array([0.5, 0.5, 0.5]), seed=1)
    with Journal.create(path, {}) as journal:
        settings = SearchSettings(rounds=2, samples=5, seed=3, top_k=2, reseeds=2)
        run_search(agent, executor, journal, settings, max_lost=1.0)
    return path.read_bytes()


def test_serial_and_ray_write_the_same_journal(
    shared: RayExecutor, shared_task: Scripted, tmp_path: Path
) -> None:
    serial = _journal(tmp_path / "serial", SerialExecutor(Uneven(), max_retries=1))
    assert serial == _journal(tmp_path / "ray", shared)
    assert serial.count(b"2 attempts failed; the last: ArithmeticError: theta[2] is 0.") >= 1
    assert serial.count(b"this theta was configured to fail") >= 1
    assert (shared_task.home / "died").exists()  # and a worker was lost on the way


def test_workers_have_the_threads_that_this_process_had(shared: RayExecutor) -> None:
    assert results(shared, act.counts_threads)[0].scores["threads"] == 3.0


# One run after the other.


def _processes(shared: RayExecutor) -> set[float]:
    names = results(shared, *[act.names_its_process] * 2)
    return {result.scores["pid"] for result in names}


def test_results_come_in_order_and_nobody_waits(shared: RayExecutor) -> None:
    while len(_processes(shared)) < 2:  # until both workers are there
        pass
    sent = candidates([act.is_slow, *[act.notes_the_end] * 4])
    ends = [result.scores["end"] for result in shared.run(sent)]
    assert len(ends) == 5
    assert ends[0] > min(ends[1:])  # the other worker went on meanwhile


def test_a_run_that_is_left_half_way_frees_its_workers(shared: RayExecutor) -> None:
    left = shared.run(candidates([act.is_fine, act.hangs, act.hangs]))
    assert next(left) == OK
    assert results(shared, act.is_fine, act.is_fine) == [OK] * 2
    assert list(left) == []


def test_a_signal_acts_while_workers_work(shared: RayExecutor, shared_task: Scripted) -> None:
    before = shared_task.marks(act.hangs)

    def send_when_it_hangs() -> None:
        while shared_task.marks(act.hangs) == before:
            time.sleep(0.01)
        time.sleep(1.5)  # by then Ray looks at signals itself, and breaks if they raise
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=send_when_it_hangs)
    thread.start()
    with pytest.raises(Interrupted), interruptible():
        results(shared, act.hangs)
    thread.join()
    assert results(shared, act.is_fine) == [OK]  # under the same id, in the place of what was left


# Room.


@pytest.mark.parametrize(
    ("cpus", "gpus", "workers"), [(0.1, 0.0, 40), (1.5, 0.0, 2), (1.0, 0.5, 2)]
)
def test_as_many_as_fit(cpus: float, gpus: float, workers: int) -> None:
    assert fitting(None, cpus, gpus) == workers
    assert fitting(1, cpus, gpus) == 1


def test_a_wait_for_workers_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ray, "available_resources", lambda: {"CPU": 4.0})  # others hold the GPU
    assert fitting(1, 1.0, 0.5) == 1
    assert "{'CPU': 1.0, 'GPU': 0.5}: waiting" in caplog.text


@pytest.mark.parametrize(
    ("workers", "cpus", "gpus"),
    [(5, 1.0, 0.0), (1, 1.0, 2.0), (None, 1.0, 2.0), (-1, 1.0, 0.0), (1, -1.0, 0.0), (1, 0.0, 0.0)],
)
def test_workers_that_do_not_fit_are_refused(workers: int | None, cpus: float, gpus: float) -> None:
    with pytest.raises(ExecutorError, match="do not fit"):
        fitting(workers, cpus, gpus)


# What goes wrong. The reasons are those of test_serial.py.


@pytest.mark.parametrize(
    ("what", "reason", "attempts"),
    [
        (act.always_fails, "2 attempts failed; the last: ValueError: no good", 2),
        (act.always_dies, "2 attempts failed; the last: the worker's process died", 2),
        (act.cannot_be_pickled, "1 attempt failed: .*", 1),
    ],
)
def test_what_becomes_of_a_candidate(
    shared: RayExecutor,
    shared_task: Scripted,
    what: Act,
    reason: str,
    attempts: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, found, last = results(shared, act.is_fine, what, act.is_fine)
    assert first == last == OK  # nobody else is touched
    assert found.status == "lost" and re.fullmatch(reason, found.reason)
    assert shared_task.marks(what) == attempts
    if what is act.always_fails:
        assert "candidate c1: attempt 1 of 2 failed\nTraceback" in caplog.text
        assert caplog.text.count("ValueError: no good\nat all") == 2


def test_a_data_error_ends_the_run_at_once(shared: RayExecutor, shared_task: Scripted) -> None:
    with pytest.raises(act.Damaged, match=r"images/7\.png"):
        results(shared, act.is_fine, act.has_bad_data, act.is_fine)
    assert shared_task.marks(act.has_bad_data) == 1
    assert results(shared, act.is_fine) == [OK]


def test_timeouts(cluster: None, tmp_path: Path) -> None:
    """A worker that takes longer than this to begin is not late, nor is a candidate that waits.

    A worker that was ended does not take the next candidate with it.
    """
    acts = [act.is_slow, act.hangs, act.never_returns, act.counts_threads]
    task = Scripted(tmp_path)
    with RayExecutor(task, workers=1, max_retries=0, timeout=2.0, threads=2) as executor:
        slow, stopped, stuck, counted = results(executor, *acts)
    assert (slow.status, counted.scores["threads"]) == ("ok", 2.0)
    assert (stopped.status, stopped.reason) == ("lost", "stopped after 2 s, the timeout")
    assert stuck.reason == "1 attempt failed: the worker's process died"


def test_an_address_where_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(OSError, match="refused"):  # Ray would need a quarter of an hour
        check_reachable(address)
    check_reachable("auto")
