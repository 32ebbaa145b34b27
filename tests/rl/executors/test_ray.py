"""Ray = serial, to the byte; one run after the other; room and settings."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ray")

import scripted_task as act
from scripted_task import OK, Scripted, Uneven, candidates, results, torch_threads

from rl.agents import PPO
from rl.executors import ExecutorError, SerialExecutor
from rl.executors.ray import RayExecutor
from rl.executors.ray_cluster import room
from rl.journal import Journal
from rl.search import SearchSettings, run_search
from rl.signals import Interrupted, interruptible

pytestmark = pytest.mark.usefixtures("cluster")

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


def test_serial_and_ray_train_the_same_network(shared: RayExecutor, task: Scripted) -> None:
    with torch_threads(3):
        expected = results(SerialExecutor(task), act.trains_a_network)
    assert results(shared, act.trains_a_network) == expected
    assert expected[0].status == "ok"


def test_workers_have_the_threads_that_this_process_had(shared: RayExecutor) -> None:
    assert results(shared, act.counts_threads)[0].reward == 3.0


# One run after the other.


def _processes(shared: RayExecutor) -> set[float]:
    names = results(shared, *[act.names_its_process] * 2)
    return {result.scores["pid"] for result in names}


def test_results_come_in_order_and_nobody_waits(shared: RayExecutor) -> None:
    while len(_processes(shared)) < 2:  # until both workers are there
        pass
    sent = candidates([act.is_slow, *[act.notes_the_end] * 4])
    found = list(shared.run(sent))
    assert [candidate for candidate, _ in found] == sent
    ends = [result.scores["end"] for _, result in found]
    assert ends.index(max(ends)) == 0  # the other worker did all the rest meanwhile


def test_workers_are_kept_from_run_to_run(shared: RayExecutor) -> None:
    processes = _processes(shared) | _processes(shared)
    assert list(shared.run([])) == []
    assert len(processes | _processes(shared)) <= 2


def test_a_run_that_is_left_is_ended(shared: RayExecutor) -> None:
    left = shared.run(candidates([act.is_fine, act.hangs]))
    next(left)
    left.close()  # type: ignore[attr-defined]
    assert results(shared, act.is_fine, act.is_fine) == [OK, OK]  # under the same ids, c0 and c1
    waiting = shared.run(candidates([act.is_fine, act.hangs]))
    next(waiting)
    assert results(shared, act.is_fine, act.is_fine) == [OK, OK]
    with pytest.raises(RuntimeError, match="began another one"):
        next(waiting)
    assert results(shared, act.is_fine) == [OK]


def test_exit_passes_through(shared: RayExecutor) -> None:
    with pytest.raises(SystemExit) as caught:
        results(shared, act.exits)
    assert caught.value.code == 3
    assert results(shared, act.is_fine) == [OK]


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
    assert results(shared, act.is_fine) == [OK]


def test_an_id_twice_is_refused(shared: RayExecutor) -> None:
    with pytest.raises(ValueError, match="ids of their own, got more than one of: c0"):
        shared.run(candidates([act.is_fine]) * 2)


def test_a_closed_executor_runs_nothing(task: Scripted) -> None:
    executor = RayExecutor(task)
    executor.close()
    executor.close()
    with pytest.raises(RuntimeError, match="closed; make a new one"):
        results(executor, act.is_fine)


# Room and settings.


def test_two_workers_share_a_gpu(shared: RayExecutor) -> None:
    found = results(shared, *[act.names_its_gpu] * 3)
    assert [result.scores["gpu"] for result in found] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("cpus", "gpus", "workers"),
    [(1.0, 0.0, 4), (0.1, 0.0, 40), (1.5, 0.0, 2), (1.0, 0.5, 2), (0.0, 0.1, 10), (1.0, 2.0, 0)],
)
def test_room(cpus: float, gpus: float, workers: int) -> None:
    assert room(cpus, gpus) == workers


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers": 5}, "5 workers of 1 CPUs and 0 GPUs each do not fit: .* room for 4"),
        ({"cpus": 5}, "1 workers of 5 CPUs and 0 GPUs each do not fit: .* room for 0"),
        ({"gpus": 2}, "1 workers of 1 CPUs and 2 GPUs each do not fit: .* room for 0"),
    ],
)
def test_a_cluster_without_room_is_named(task: Scripted, options: dict, words: str) -> None:
    with (
        RayExecutor(task, **options) as executor,
        pytest.raises(ExecutorError, match=words),
    ):
        results(executor, act.is_fine)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers": 0}, "workers must be >= 1, or None for as many as fit; got 0"),
        ({"cpus": -1.0}, "cpus >= 0 and gpus >= 0, one of them > 0; got -1.0 and 0.0"),
        ({"cpus": 0.0}, "got 0.0 and 0.0"),
        ({"threads": 0}, "threads must be >= 1, or None for as many as here; got 0"),
        ({"max_retries": -1}, "max_retries must be a whole number >= 0"),
        ({"timeout": -1.0}, "timeout is in seconds"),
    ],
)
def test_wrong_settings_are_named(task: Scripted, options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RayExecutor(task, **options)


def test_what_cannot_be_pickled_is_refused() -> None:
    lock = threading.Lock()
    with pytest.raises(TypeError, match="must be picklable"):
        RayExecutor(lambda: contextlib.nullcontext(lock))  # type: ignore[arg-type, return-value]
