"""Ray = serial, to the byte, whatever happens to the workers."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ray")

import ray
import torch

from rl.agents import PPO
from rl.executors import Candidate, ExecutorError, SerialExecutor, make_executor
from rl.executors.ray import RayExecutor
from rl.executors.ray_cluster import room
from rl.journal import Journal
from rl.proxies import Quadratic
from rl.proxy import ProxyResult, ProxyTask, failed
from rl.search import SearchSettings, run_search
from rl.signals import Interrupted, interruptible

SETTINGS = SearchSettings(rounds=2, samples=5, seed=3, top_k=2, reseeds=2)
IDENTITY = np.array([0.5, 0.5, 0.5])
OK = ProxyResult(0.5)
Act = Callable[["Scripted"], object]


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """A cluster that is there already: the executors of these tests use it and leave it.

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
    ray.shutdown()


@pytest.fixture(autouse=True)
def check_the_cluster_is_left_as_it_was() -> Iterator[None]:
    yield
    assert ray.is_initialized()


@dataclass(frozen=True)
class Scripted:
    """A task that does to candidate `seed` what `acts` says, ``acts[seed](task)``; then OK.

    ``home`` is a folder in which evaluations leave marks, since they share nothing else.
    """

    home: Path
    acts: dict[int, Act]

    def __call__(self) -> Scripted:
        return self

    def evaluate(self, theta: np.ndarray, seed: int, budget: float = 1.0) -> ProxyResult:
        theta[:] = 0.0  # it may
        self.mark(f"seed {seed}")
        return self.acts.get(seed, lambda task: None)(self) or OK

    def mark(self, name: str) -> int:
        """Leave one more mark of that name; how many there are."""
        with (self.home / name).open("a") as file:
            file.write(f"{os.getpid()}\n")
        return len(self.marks(name))

    def marks(self, name: str) -> list[str]:
        path = self.home / name
        return path.read_text().split() if path.exists() else []


def _fails_once(task: Scripted) -> None:
    if task.mark("fails") == 1:
        raise ValueError("not yet\nreally")


def _always_fails(task: Scripted) -> None:
    raise ValueError("no good\nat all")


def _dies_once(task: Scripted) -> None:
    if task.mark("dies") == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def _always_dies(task: Scripted) -> None:
    os._exit(1)


def _is_not_finite(task: Scripted) -> ProxyResult:
    return failed("the loss is not finite")


def _cannot_be_pickled(task: Scripted) -> ProxyResult:
    return ProxyResult(0.5, {"lock": threading.Lock()})  # type: ignore[dict-item]


def _hangs(task: Scripted) -> None:
    time.sleep(60)


def _exits(task: Scripted) -> None:
    sys.exit(3)


def _counts_threads(task: Scripted) -> ProxyResult:
    return ProxyResult(float(torch.get_num_threads()))


def _names_its_gpu(task: Scripted) -> ProxyResult:
    return ProxyResult(0.5, {"gpu": float(os.environ.get("CUDA_VISIBLE_DEVICES", "nan"))})


def _takes_a_second(task: Scripted) -> ProxyResult:
    time.sleep(1.0)
    return ProxyResult(0.5, {"end": time.monotonic()})


def _notes_the_end(task: Scripted) -> ProxyResult:
    return ProxyResult(0.5, {"end": time.monotonic()})


ACTS = dict(
    enumerate(
        [
            _fails_once,
            _always_fails,
            _dies_once,
            _always_dies,
            _is_not_finite,
            _cannot_be_pickled,
            _hangs,
            _exits,
            _counts_threads,
            _takes_a_second,
            _notes_the_end,
            _names_its_gpu,
        ]
    )
)
SEEDS = {act: seed for seed, act in ACTS.items()}
FINE = 100  # a seed to which nothing happens


@pytest.fixture
def task(tmp_path: Path) -> Scripted:
    return Scripted(tmp_path, ACTS)


@pytest.fixture(scope="module")
def shared_task(tmp_path_factory: pytest.TempPathFactory) -> Scripted:
    return Scripted(tmp_path_factory.mktemp("shared"), ACTS)


@pytest.fixture(scope="module")
def shared(cluster: None, shared_task: Scripted) -> Iterator[RayExecutor]:
    """An executor whose workers stay warm from test to test; made where torch has 3 threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    with RayExecutor(shared_task, workers=2, gpus=0.5, max_retries=1) as executor:
        torch.set_num_threads(threads)
        yield executor


def _candidates(*acts: Act | int) -> list[Candidate]:
    seeds = [act if isinstance(act, int) else SEEDS[act] for act in acts]
    return [Candidate(f"c{i}", np.array([0.5]), seed) for i, seed in enumerate(seeds)]


def _results(executor: RayExecutor, *acts: Act | int) -> list[ProxyResult]:
    return [result for _, result in executor.run(_candidates(*acts))]


# The same search.


@dataclass(frozen=True)
class Uneven:
    """A noisy quadratic with failures, raises and deaths, that takes longer for small thetas."""

    home: Path
    deadly: bool = False

    def __call__(self) -> Uneven:
        return self

    def evaluate(self, theta: np.ndarray, seed: int, budget: float = 1.0) -> ProxyResult:
        if self.deadly:
            time.sleep(0.1 * (1.0 - theta[0]))
            if 0.5 < theta[1] < 0.6:
                _dies_once(Scripted(self.home, {}))
        if theta[2] > 0.7:
            raise ArithmeticError(f"theta[2] is {theta[2]}")
        fails = theta[0] > 0.75
        quadratic = Quadratic([0.8, 0.3, 0.6], noise=0.02, fails=lambda theta: bool(fails))
        return quadratic.evaluate(theta, seed, budget)


def _journal(path: Path, executor: SerialExecutor | RayExecutor, agent: PPO) -> bytes:
    with Journal.create(path, {}) as journal, executor:
        run_search(agent, executor, journal, SETTINGS)
    return path.read_bytes()


def test_serial_and_ray_write_the_same_journal(tmp_path: Path) -> None:
    serial = _journal(tmp_path / "serial", SerialExecutor(Uneven(tmp_path)), PPO(IDENTITY, seed=1))
    make = Uneven(tmp_path, deadly=True)
    parallel = _journal(tmp_path / "ray", RayExecutor(make, workers=2), PPO(IDENTITY, seed=1))
    assert serial == parallel
    assert serial.count(b"3 attempts failed; the last: ArithmeticError: theta[2] is 0.") >= 1
    assert serial.count(b"this theta was configured to fail") >= 1
    assert (tmp_path / "dies").exists()  # and a worker was lost on the way


def _shapes() -> ProxyTask:
    from rl.proxies import make_task

    return make_task("shapes", {"iterations": 6})[0]


def test_serial_and_ray_train_the_same_network(tmp_path: Path) -> None:
    pytest.importorskip("rl.proxies.shapes")
    thetas = np.random.default_rng(0).random((3, _shapes().space.dim))  # type: ignore[attr-defined]
    candidates = [Candidate(f"c{i}", theta, 7) for i, theta in enumerate(thetas)]
    with (
        make_executor("serial", _shapes) as serial,
        make_executor("ray", _shapes, workers=1) as parallel,
    ):
        expected = [result for _, result in serial.run(candidates)]
        found = [result for _, result in parallel.run(candidates)]
    assert found == expected
    assert len({result.reward for result in found}) > 1


# Order.


def _have_both_workers(shared: RayExecutor, shared_task: Scripted) -> None:
    while len(set(shared_task.marks("seed 300"))) < 2:
        _results(shared, 300, 300)


def test_results_come_in_order_and_nobody_waits(shared: RayExecutor, shared_task: Scripted) -> None:
    _have_both_workers(shared, shared_task)
    candidates = _candidates(_takes_a_second, *[_notes_the_end] * 4)
    found = list(shared.run(candidates))
    assert [candidate for candidate, _ in found] == candidates
    ends = [result.scores["end"] for _, result in found]
    assert ends.index(max(ends)) == 0  # the other worker did all the rest meanwhile


def test_workers_are_kept_from_run_to_run(shared: RayExecutor, shared_task: Scripted) -> None:
    for seed in (201, 202, 203):
        assert _results(shared, seed, seed) == [OK, OK]
    assert list(shared.run([])) == []
    workers = [worker for seed in (201, 202, 203) for worker in shared_task.marks(f"seed {seed}")]
    assert len(workers) == 6
    assert len(set(workers)) <= 2


def test_a_run_that_is_left_is_ended(shared: RayExecutor) -> None:
    results = shared.run(_candidates(FINE, _hangs))
    next(results)
    results.close()  # type: ignore[attr-defined]
    start = time.monotonic()
    assert _results(shared, FINE, FINE) == [OK, OK]  # under the same ids, c0 and c1
    waiting = shared.run(_candidates(FINE, _hangs))
    next(waiting)
    assert _results(shared, FINE, FINE) == [OK, OK]
    with pytest.raises(RuntimeError, match="began another one"):
        next(waiting)
    assert _results(shared, FINE) == [OK]
    assert time.monotonic() - start < 50


def test_an_id_twice_is_refused(shared: RayExecutor) -> None:
    with pytest.raises(ValueError, match="ids of their own, got more than one of: c0"):
        shared.run(_candidates(FINE) * 2)


def test_a_closed_executor_runs_nothing(task: Scripted) -> None:
    executor = RayExecutor(task)
    executor.close()
    executor.close()
    with pytest.raises(RuntimeError, match="closed; make a new one"):
        _results(executor, FINE)


# What goes wrong. The reasons are those of test_serial.py.


@pytest.mark.parametrize(
    ("act", "result", "attempts"),
    [
        (_fails_once, OK, 2),
        (_always_fails, failed("2 attempts failed; the last: ValueError: no good"), 2),
        (_dies_once, OK, 2),
        (_always_dies, failed("2 attempts failed; the last: the worker's process died"), 2),
        (_is_not_finite, failed("the loss is not finite"), 1),
        (_cannot_be_pickled, "2 attempts failed; the last: TypeError: .*pickle.*lock.*", 2),
    ],
)
def test_what_becomes_of_a_candidate(
    shared: RayExecutor,
    shared_task: Scripted,
    act: Act,
    result: ProxyResult | str,
    attempts: int,
) -> None:
    first, found, last = _results(shared, FINE, act, FINE)
    assert first == last == OK  # nobody else is touched
    if isinstance(result, str):
        assert re.fullmatch(result, found.reason)
    else:
        assert found == result
    assert len(shared_task.marks(f"seed {SEEDS[act]}")) == attempts


def test_failed_attempts_are_logged(shared: RayExecutor, caplog: pytest.LogCaptureFixture) -> None:
    _results(shared, _always_fails)
    assert "candidate c0: attempt 1 of 2 failed\nTraceback" in caplog.text
    assert caplog.text.count("ValueError: no good\nat all") == 2


def test_timeouts(task: Scripted) -> None:
    late = failed("stopped after 2 s, its timeout")
    with RayExecutor(task, workers=1, timeout=2.0, threads=2) as executor:
        # Waiting for the worker to be made, or for one's turn, is not being late.
        done = _results(executor, *[_takes_a_second] * 3, _hangs, _counts_threads)
        assert [result.reward for result in done] == [0.5, 0.5, 0.5, 0.0, 2.0]
        assert done[3] == late
        assert len(task.marks(f"seed {SEEDS[_hangs]}")) == 1  # not tried again


def test_an_answer_that_came_late_is_late_though_nobody_looked(task: Scripted) -> None:
    with RayExecutor(task, workers=1, timeout=0.5) as executor:
        results = executor.run(_candidates(FINE, _takes_a_second, FINE))
        next(results)  # the second begins
        time.sleep(2.0)  # and ends
        assert [result.status for _, result in results] == ["failed", "ok"]


def test_exit_passes_through(shared: RayExecutor) -> None:
    with pytest.raises(SystemExit) as caught:
        _results(shared, _exits)
    assert caught.value.code == 3
    assert _results(shared, FINE) == [OK]


def _impossible() -> ProxyTask:
    raise FileNotFoundError("there is no data set")


def _fatal() -> ProxyTask:
    os._exit(1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_impossible, "could not make its task: FileNotFoundError: there is no data set"),
        (_fatal, "workers die while they make their task, 1 in a row; the last: "),
    ],
)
def test_a_worker_that_cannot_be_made(make: Callable[[], ProxyTask], words: str) -> None:
    with (
        RayExecutor(make, workers=1, max_retries=0) as executor,
        pytest.raises(ExecutorError, match=words),
    ):
        _results(executor, FINE)


def test_a_signal_acts_while_workers_work(shared: RayExecutor, shared_task: Scripted) -> None:
    mark = f"seed {SEEDS[_hangs]}"
    before = len(shared_task.marks(mark))

    def send_when_it_hangs() -> None:
        while len(shared_task.marks(mark)) == before:
            time.sleep(0.01)
        time.sleep(1.5)  # by then Ray looks at signals itself, and breaks if they raise
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=send_when_it_hangs)
    thread.start()
    with pytest.raises(Interrupted), interruptible():
        _results(shared, _hangs)
    thread.join()
    assert _results(shared, FINE) == [OK]


def test_workers_have_the_threads_that_this_process_had(shared: RayExecutor) -> None:
    assert _results(shared, _counts_threads)[0].reward == 3.0


# Settings.


def test_two_workers_share_a_gpu(shared: RayExecutor) -> None:
    results = _results(shared, _names_its_gpu, _names_its_gpu, _names_its_gpu)
    assert [result.scores["gpu"] for result in results] == [0.0, 0.0, 0.0]


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
        _results(executor, FINE)


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
