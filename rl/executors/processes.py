"""Candidates evaluated in parallel by processes of this machine.

Results are yielded in the order of the candidates, whichever finishes first: searches write the
same journal as with the serial executor.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess

import torch

from rl.executors.base import Candidate, ExecutorError
from rl.executors.serial import AttemptPolicy, lost_after, one_line
from rl.executors.worker import Answer, Worker, WorkerExecutor, unpacked
from rl.proxy import ProxyResult, ProxyTask
from rl.signals import time_limit


class ProcessExecutor(WorkerExecutor):
    """Keeps worker processes busy with candidates; each makes the task once and keeps it.

    The processes start at the first candidate. On a GPU all of them use the same one.

    Args:
        make: () -> ProxyTask, picklable; called once in each worker.
        workers: number of processes; None = as many as this process may use cores, divided by the
            threads of torch.
        max_retries, timeout: see `AttemptPolicy`. A worker that dies, for example for lack of
            memory, ends the run with an ExecutorError.
    """

    def __init__(
        self,
        make: Callable[[], ProxyTask],
        *,
        workers: int | None = None,
        max_retries: int = 2,
        timeout: float | None = None,
    ) -> None:
        threads = torch.get_num_threads()
        workers = default_workers() if workers is None else workers
        if workers < 1:
            raise ValueError(f"expected workers >= 1, or None, got {workers}")
        self._workers = workers
        self._recipe = make, AttemptPolicy(max_retries, timeout), threads
        self._pool: ProcessPoolExecutor | None = None
        self._workers_begun: list[BaseProcess] = []
        super().__init__()

    def _results(self, candidates: Sequence[Candidate]) -> Generator[ProxyResult]:
        pool = self._pool
        if pool is None:
            pool = ProcessPoolExecutor(self._workers, forkserver(__name__), _begin, self._recipe)
            self._pool = pool  # its processes start one by one, with the first candidates
        sent: list[Future[Answer]] = []
        try:
            with kept_children(self._workers_begun):
                for candidate in candidates:
                    sent.append(pool.submit(_evaluate, candidate))
            for future in sent:
                yield unpacked(_answer(future))
        except BrokenProcessPool as error:
            self._end_workers()  # it takes no further candidates
            raise ExecutorError(
                "a worker process died: for lack of memory (use fewer workers), or at its start, "
                "with an error above (a script that starts workers needs if __name__ == "
                "'__main__'). What is known is kept: resume the search"
            ) from error
        finally:
            if any([not one.cancel() and not one.done() for one in sent]):
                self._end_workers()  # evaluations of an abandoned run would keep them busy

    def _end_workers(self) -> None:
        if self._pool is None:
            return
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = None
        for process in self._workers_begun:
            process.kill()
        self._workers_begun.clear()


def _answer(future: Future[Answer]) -> Answer:
    try:
        return future.result()
    except BrokenProcessPool:
        raise
    except Exception as error:  # its result cannot be pickled
        return lost_after(1, one_line(error)), [str(error.__cause__ or error)]


def forkserver(module: str) -> ForkServerContext:
    """For pools of processes: on Linux the first one in this process also imports the module, once
    for all its workers, which would take seconds each. Elsewhere that may not be safe."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module] if sys.platform == "linux" else [])
    return context


@contextmanager
def kept_children(begun: list[BaseProcess]) -> Iterator[None]:
    """Adds the processes that this one starts in here to ``begun``."""
    before = multiprocessing.active_children()
    try:
        yield
    finally:
        begun += [child for child in multiprocessing.active_children() if child not in before]


def begin_worker(threads: int) -> None:
    """For the initializer of a pool: sets torch's threads, and how this worker starts processes of
    its own, such as data loaders', to the platform's default instead of the pool's. It ends with
    the process that made the pool, even one that is killed, which alone handles Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    multiprocessing.set_start_method(None, force=True)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def available_cores() -> int:
    """Cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def default_workers() -> int:
    """As many as have cores of their own, with torch's present number of threads each; >= 1."""
    return max(1, available_cores() // torch.get_num_threads())


_worker: Worker


def _begin(make: Callable[[], ProxyTask], policy: AttemptPolicy, threads: int) -> None:
    global _worker
    begin_worker(threads)
    _worker = Worker(make, policy, threads, time_limit)


def _evaluate(candidate: Candidate) -> Answer:
    return _worker.evaluate(candidate)
