"""The workers of a Ray executor: started when needed, replaced when lost, never mixed up."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import ray
from ray.exceptions import RayError, RayTaskError

from rl.executors.attempts import Failure
from rl.executors.base import ExecutorError
from rl.executors.ray_cluster import connect, room
from rl.executors.ray_worker import Job, Outcome, Worker
from rl.signals import uninterrupted

_PATIENCE = 60.0
"""Seconds without any worker that is ready, after which the log says so."""

_logger = logging.getLogger(__name__)


class WorkerPool:
    """Workers on the cluster that is there, or that this starts.

    Args:
        make: pickled factory of the task.
        workers: how many at most; None = as many as fit.
        cpus, gpus: what each takes.
        threads: of each.
        timeout: seconds an evaluation may take; None = any.
        max_lost: how many workers in a row may die while they make their task.
        address: of the cluster; see `connect`.

    Raises ExecutorError when there is no cluster at the address, or no room on it for them.
    """

    def __init__(
        self,
        make: bytes,
        *,
        workers: int | None,
        cpus: float,
        gpus: float,
        threads: int,
        timeout: float | None,
        max_lost: int,
        address: str | None,
    ) -> None:
        self._cpus, self._gpus, self._threads = cpus, gpus, threads
        self._timeout, self._max_lost = timeout, max_lost
        self._workers: list[Worker] = []
        self._lost = 0
        self._impatient = time.monotonic() + _PATIENCE
        self._ours = connect(address)
        try:
            self._size = self._size_for(workers)
            with uninterrupted():
                self._make = ray.put(make)  # once for all workers
        except BaseException:
            self.close()
            raise

    def _size_for(self, workers: int | None) -> int:
        there = room(self._cpus, self._gpus)
        if there < (workers or 1):
            raise ExecutorError(
                f"{workers or 1} workers of {self._cpus:g} CPUs and {self._gpus:g} GPUs each do "
                f"not fit: the cluster has room for {there}; ask for fewer or smaller ones"
            )
        return workers or there

    def start(self, jobs: list[Job]) -> list[Job]:
        """Give jobs, the first ones first, to workers that are free; the jobs that are left.

        For those that are left, workers are started as far as there is room.
        """
        free = [worker for worker in self._workers if worker.idle]
        for worker, job in zip(free, jobs, strict=False):
            worker.start(job, self._timeout)
        left = jobs[len(free) :]
        coming = sum(not worker.made for worker in self._workers)
        for _ in range(min(len(left) - coming, self._size - len(self._workers))):
            self._workers.append(Worker(self._make, self._threads, self._cpus, self._gpus))
        return left

    def finished(self, seconds: float) -> Iterator[tuple[Job, Outcome]]:
        """Wait so long for evaluations to end; those that did, and those that take too long.

        Raises ExecutorError when a worker could not make its task.
        """
        for worker in self._ready(seconds):
            if worker.job is not None:
                yield worker.job, self._outcome(worker)
            else:
                self._welcome(worker)
        now = time.monotonic()
        for worker in [one for one in self._workers if one.deadline < now]:
            if worker.job is not None and not _wait([worker], 0.0):
                self._drop(worker)
                yield worker.job, Failure.too_long(self._timeout)

    def _ready(self, seconds: float) -> list[Worker]:
        busy = [worker for worker in self._workers if not worker.idle]
        if not busy:
            return []
        if any(worker.made for worker in self._workers):
            self._impatient = time.monotonic() + _PATIENCE
        elif time.monotonic() > self._impatient:
            _logger.warning("no worker is ready yet: all make their tasks, or wait for room")
            self._impatient += _PATIENCE
        deadline = min(worker.deadline for worker in busy)
        return _wait(busy, max(0.0, min(seconds, deadline - time.monotonic())))

    def _outcome(self, worker: Worker) -> Outcome:
        try:
            outcome: Outcome = worker.take()
            return outcome
        except RayTaskError as error:  # the worker lives: what it gave could not be pickled
            return Failure.of(error.cause or error)
        except RayError as error:
            self._drop(worker)
            return Failure("the worker's process died", str(error))

    def _welcome(self, worker: Worker) -> None:
        try:
            failure: Failure | None = worker.take()
        except RayError as error:
            self._drop(worker)
            self._lost += 1
            _logger.warning("a worker died while it made its task: %s", error)
            if self._lost > self._max_lost:
                raise ExecutorError(
                    f"workers die while they make their task, {self._lost} in a row; the last: "
                    f"{error}"
                ) from None
            return
        if failure is not None:
            self._drop(worker)
            raise ExecutorError(
                f"a worker could not make its task: {failure.words}\nIn the worker:\n"
                f"{failure.trace}"
            )
        worker.made, self._lost = True, 0

    def _drop(self, worker: Worker) -> None:
        self._workers.remove(worker)
        worker.kill()

    def drop_jobs(self) -> None:
        """End the evaluations under way: their outcomes would come into a later run."""
        for worker in list(self._workers):
            if worker.job is not None and ray.is_initialized():
                self._drop(worker)

    def close(self) -> None:
        """End the workers, and Ray if it was started here."""
        if ray.is_initialized():
            for worker in list(self._workers):
                self._drop(worker)
            if self._ours:
                ray.shutdown()


def _wait(workers: list[Worker], seconds: float) -> list[Worker]:
    """Those whose answers are there after so many seconds at most, or as soon as one is."""
    of = {worker.answer: worker for worker in workers}
    # Ray looks at signals while it waits, and breaks when a handler raises anything other than
    # KeyboardInterrupt: a signal acts when the wait is over.
    with uninterrupted():
        ready, _ = ray.wait(list(of), timeout=seconds)
        if ready:
            ready, _ = ray.wait(list(of), num_returns=len(of), timeout=0.0)
    return [of[answer] for answer in ready]
