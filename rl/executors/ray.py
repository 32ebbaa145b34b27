"""Candidates evaluated by Ray actors, in parallel, on this machine or on a cluster.

The order in which they finish decides nothing: a result belongs to its candidate's id, and is
handed out when all before it have been. So serial and Ray write the same journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import TracebackType

import torch

from rl.executors.attempts import AttemptPolicy
from rl.executors.base import Candidate, check_ids
from rl.proxy import ProxyResult, ProxyTask

try:
    from ray import cloudpickle
except ImportError as error:
    raise ImportError(
        "the ray executor needs Ray: pip install -e '.[ray]', or use the serial executor"
    ) from error

from rl.executors.ray_pool import WorkerPool
from rl.executors.ray_worker import Job, Outcome, Stop

_SLICE = 0.5
"""Seconds of one wait, and so the longest that a signal waits."""


class RayExecutor:
    """Keeps workers busy with candidates; each makes the task once and keeps it warm.

    Ray starts, or is joined, at the first candidate. What workers print is in Ray's own log files;
    the traceback of a failed attempt also comes to this process's log. A worker that dies is
    replaced; so is one whose candidate took too long or whose run was left early, which is killed.

    Args:
        make: () -> ProxyTask, picklable; called once in each worker.
        workers: how many; None = as many as the cluster's resources allow.
        cpus: what a worker takes of a node's CPUs; Ray counts, it does not enforce.
        gpus: of its GPUs: 0.5 puts two workers on each. A worker sees only the GPUs it was given.
        max_retries: further attempts after an exception or the loss of the worker.
        timeout: seconds that one attempt may take, from its start in the worker; None = any.
        address: of a cluster; None = the environment's RAY_ADDRESS, or one of this machine's own.
        threads: of torch in each worker; None = as many as here, since CPU results depend on it.

    Raises:
        ValueError, TypeError: a setting that makes no sense; ``make`` cannot be pickled.
    """

    def __init__(
        self,
        make: Callable[[], ProxyTask],
        *,
        workers: int | None = None,
        cpus: float = 1.0,
        gpus: float = 0.0,
        max_retries: int = 2,
        timeout: float | None = None,
        address: str | None = None,
        threads: int | None = None,
    ) -> None:
        self.policy = AttemptPolicy(max_retries, timeout)
        threads = torch.get_num_threads() if threads is None else threads
        _check(workers, cpus, gpus, threads)
        self._new_pool = partial(
            WorkerPool,
            _pickled(make),
            workers=workers,
            cpus=cpus,
            gpus=gpus,
            threads=threads,
            timeout=timeout,
            max_lost=max_retries,
            address=address,
        )
        self._pool: WorkerPool | None = None
        self._runs = 0
        self._closed = False

    def run(self, candidates: Sequence[Candidate]) -> Iterator[tuple[Candidate, ProxyResult]]:
        """Yield (candidate, result) in order; see `Executor.run`.

        Raises:
            ExecutorError: no cluster at the address, no room on it, or a task that cannot be made.
            RuntimeError: the executor is closed.
        """
        check_ids(candidates)
        return self._run(list(candidates))

    def _run(self, candidates: list[Candidate]) -> Iterator[tuple[Candidate, ProxyResult]]:
        if not candidates:
            return
        self._runs += 1
        number = self._runs
        jobs = [Job(candidate) for candidate in candidates]
        done: dict[str, ProxyResult] = {}
        try:
            self._open_pool().drop_jobs()  # of an earlier run that was left and still hangs about
            for candidate in candidates:
                jobs = self._step(number, jobs, done, 0.0)
                while candidate.id not in done:
                    jobs = self._step(number, jobs, done, _SLICE)
                yield candidate, done.pop(candidate.id)
        finally:
            if self._pool is not None and number == self._runs:
                self._pool.drop_jobs()

    def _open_pool(self) -> WorkerPool:
        if self._closed:
            raise RuntimeError("the executor is closed; make a new one")
        if self._pool is None:
            self._pool = self._new_pool()
        return self._pool

    def _step(
        self, run: int, jobs: list[Job], done: dict[str, ProxyResult], seconds: float
    ) -> list[Job]:
        """Wait so long for outcomes, then see that everybody has work; the jobs that are left."""
        if run != self._runs:
            raise RuntimeError("this run ended when the executor began another one")
        pool = self._open_pool()
        again = []
        for job, outcome in pool.finished(seconds):
            result = self._result(job, outcome)
            if result is None:
                again.append(Job(job.candidate, job.number + 1))
            else:
                done[job.candidate.id] = result
        return pool.start(again + jobs)

    def _result(self, job: Job, outcome: Outcome) -> ProxyResult | None:
        if isinstance(outcome, Stop):
            raise outcome.error
        return self.policy.verdict(job.candidate, job.number, outcome)

    def close(self) -> None:
        """End the workers, and Ray if it was started here; a second call does nothing."""
        pool, self._pool, self._closed = self._pool, None, True
        if pool is not None:
            pool.close()

    def __enter__(self) -> RayExecutor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _check(workers: int | None, cpus: float, gpus: float, threads: int) -> None:
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be >= 1, or None for as many as fit; got {workers}")
    if min(cpus, gpus) < 0 or max(cpus, gpus) <= 0:
        raise ValueError(
            f"a worker takes cpus >= 0 and gpus >= 0, one of them > 0; got {cpus} and {gpus}"
        )
    if threads < 1:
        raise ValueError(f"threads must be >= 1, or None for as many as here; got {threads}")


def _pickled(make: Callable[[], ProxyTask]) -> bytes:
    try:
        pickled: bytes = cloudpickle.dumps(make)  # type: ignore[no-untyped-call]
        return pickled
    except Exception as error:  # every object refuses in its own way
        raise TypeError(
            f"make travels to the workers and must be picklable; {make!r} is not: {error}"
        ) from error
