"""Candidates evaluated in parallel by processes of this machine.

Results are yielded in the order of the candidates, whichever finishes first. So this executor
writes the same journal as the serial one.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from logging import getLogger
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess

import torch

from rl.executors.base import Candidate, Executor, ExecutorError
from rl.executors.serial import AttemptPolicy
from rl.executors.worker import Answer, Worker
from rl.proxy import ProxyResult, ProxyTask
from rl.signals import time_limit

_logger = getLogger(__name__)


class ProcessExecutor(Executor):
    """Keeps worker processes busy with candidates; each makes the task once and keeps it.

    The processes start at the first candidate. On a GPU all of them use the same one. An unfinished
    run is ended by the next one, or by `close`.

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
        if workers is None:
            workers = max(1, available_cores() // threads)
        if workers < 1:
            raise ValueError(f"expected workers >= 1, or None, got {workers}")
        self._workers = workers
        self._recipe = make, AttemptPolicy(max_retries, timeout), threads
        self._pool: ProcessPoolExecutor | None = None
        self._others: list[BaseProcess] = []
        self._running = self._results(())

    def run(self, candidates: Sequence[Candidate]) -> Iterator[ProxyResult]:
        """Yield their results in order; see `Executor.run`.

        Raises ExecutorError: a worker died, or the task cannot be made.
        """
        self._running.close()
        self._running = self._results(candidates)
        return self._running

    def close(self) -> None:
        """End the workers; a second call does nothing."""
        self._running.close()
        self._end_workers()

    def _results(self, candidates: Sequence[Candidate]) -> Generator[ProxyResult]:
        pool = self._pool
        if pool is None:
            self._others = multiprocessing.active_children()
            pool = ProcessPoolExecutor(self._workers, forkserver(__name__), _begin, self._recipe)
            self._pool = pool  # its processes start one by one, with the first candidates
        sent: list[Future[Answer]] = []
        try:
            for candidate in candidates:
                sent.append(pool.submit(_evaluate, candidate))
            for future in sent:
                yield _result(future.result())
        except BrokenProcessPool as error:
            raise ExecutorError(
                "a worker process died, perhaps for lack of memory: use fewer workers; what is "
                f"known is kept ({error})"
            ) from error
        finally:
            if [one for one in sent if not one.cancel() and (not one.done() or one.exception())]:
                self._end_workers()  # evaluations of an abandoned run would keep them busy

    def _end_workers(self) -> None:
        if self._pool is None:
            return
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = None
        for process in multiprocessing.active_children():
            if process not in self._others:
                process.kill()


def forkserver(module: str) -> ForkServerContext:
    """For pools of processes: the first one in this process also imports the module, once for all
    its workers, which would take seconds each."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    return context


def begin_worker(threads: int) -> None:
    """For the initializer of a pool: sets torch's threads, and how this worker starts processes of
    its own, such as data loaders', to the platform's default instead of the pool's."""
    torch.set_num_threads(threads)
    multiprocessing.set_start_method(None, force=True)


def available_cores() -> int:
    """Cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def _result(answer: Answer) -> ProxyResult:
    outcome, said = answer
    for line in said:
        _logger.warning(line)
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


_worker: Worker


def _begin(make: Callable[[], ProxyTask], policy: AttemptPolicy, threads: int) -> None:
    """In a new worker."""
    global _worker
    begin_worker(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the search, which ends its workers
    _worker = Worker(make, policy, threads, time_limit)


def _evaluate(candidate: Candidate) -> Answer:
    return _worker.evaluate(candidate)
