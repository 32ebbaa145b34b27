"""Ray = serial, to the byte; one run after the other; room."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ray")

import scripted_task as act
from scripted_task import OK, Scripted, Uneven, candidates, results

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


def test_a_run_that_is_left_is_ended(shared: RayExecutor) -> None:
    left = shared.run(candidates([act.is_fine, act.hangs]))
    next(left)
    left.close()  # type: ignore[attr-defined]
    assert results(shared, act.is_fine, act.is_fine) == [OK, OK]  # under the same ids, c0 and c1


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


# Room and settings.


def test_a_wait_for_workers_is_told(
    cluster: None,
    task: Scripted,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rl.executors.ray._SLOW_START", 0.0)
    holder = RayExecutor(task, workers=1, gpus=1.0)  # there is one GPU

    def close_when_told() -> None:
        end = time.monotonic() + 60
        while "no worker is ready yet" not in caplog.text and time.monotonic() < end:
            time.sleep(0.01)
        holder.close()

    with holder, RayExecutor(task, workers=1, gpus=1.0) as executor:
        assert results(holder, act.is_fine) == [OK]
        caplog.clear()
        thread = threading.Thread(target=close_when_told)
        thread.start()
        assert results(executor, act.is_fine) == [OK]
        thread.join()
    assert caplog.text.count("no worker is ready yet: each needs 1 CPUs and 1 GPUs") == 1


@pytest.mark.parametrize(
    ("cpus", "gpus", "workers"),
    [(0.1, 0.0, 40), (1.5, 0.0, 2), (1.0, 0.5, 2), (1.0, 2.0, 0)],
)
def test_room(cpus: float, gpus: float, workers: int) -> None:
    assert room(cpus, gpus) == workers


def test_a_cluster_without_room_is_named(task: Scripted) -> None:
    words = "5 workers of 1 CPUs and 0 GPUs each do not fit: .* room for 4"
    with RayExecutor(task, workers=5) as executor, pytest.raises(ExecutorError, match=words):
        results(executor, act.is_fine)
