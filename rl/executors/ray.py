"""Candidates evaluated by Ray actors, in parallel, on this machine or on a cluster.

The order in which they finish decides nothing: results are handed out in the order of the
candidates. So serial and Ray write the same journal.

For each worker a thread waits. So the main thread, which gets the signals, waits outside Ray, which
breaks when a handler raises inside it.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from threading import Event
from typing import Any

import torch

from rl.executors.attempts import AttemptPolicy, evaluate, lost_after, one_line
from rl.executors.base import Candidate, Executor, ExecutorError
from rl.proxy import ProxyResult, ProxyTask, lost

try:
    import ray
except ImportError as error:
    raise ImportError(
        "the ray executor needs Ray: pip install -e '.[ray]', or use the serial executor"
    ) from error

from rl.executors.ray_cluster import connect, fitting

_SLOW_START = 60.0
"""Seconds without a worker after which a line says so: Ray waits for resources without a word."""

_logger = logging.getLogger(__name__)


class _Worker:
    """Runs in an actor's process; makes the task once."""

    def __init__(self, make: Callable[[], ProxyTask], policy: AttemptPolicy, threads: int) -> None:
        # Sums in another order differ in the last bits: results on a CPU depend on the number of
        # threads, so every worker has as many as the driver would use itself.
        torch.set_num_threads(threads)
        self._make, self._policy = make, policy

    @cached_property
    def _task(self) -> ProxyTask:
        return self._make()

    def prepare(self) -> None:
        """Make the task, which no timeout limits."""
        self._task  # noqa: B018

    def evaluate(self, candidate: Candidate) -> tuple[ProxyResult | BaseException, list[str]]:
        """The result, or what ends the run; and what is to be logged."""
        said: list[str] = []
        try:
            return evaluate(self._task, candidate, self._policy, said.append), said
        except (Exception, SystemExit) as error:  # Ray would wrap it, and end the actor
            return error, said


class RayExecutor(Executor):
    """Keeps workers busy with candidates; each makes the task once and keeps it.

    Ray starts, or is joined, at the first candidate. What workers print is in Ray's own log files;
    the traceback of a failed attempt also comes to this process's log. A worker that dies is
    replaced, and its candidate repeated.

    Args:
        make: () -> ProxyTask, picklable; called once in each worker.
        workers: how many; None = as many as the cluster's resources allow.
        cpus: what a worker takes of a node's CPUs; Ray counts, it does not enforce.
        gpus: of its GPUs: 0.5 puts two workers on each. A worker sees only the GPUs it was given.
        max_retries: further attempts after an exception, and after the loss of the worker.
        timeout: seconds that one attempt may take, from its start in the worker; None = any. Code
            that never returns to the interpreter is ended with its worker after twice the time of
            all attempts, and its candidate is lost.
        address: of a cluster; None = the environment's RAY_ADDRESS, or one of this machine's own.
        threads: of torch in each worker; None = as many as here, since CPU results depend on it.
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
        # For a candidate: time limits act only where code returns to the interpreter.
        self._patience = None if timeout is None else 2.0 * (1 + max_retries) * timeout
        self._make, self._address, self._wanted = make, address, workers
        self._cpus, self._gpus = cpus, gpus
        self._threads = threads or torch.get_num_threads()
        self._size = 0  # of the pool; 0 until Ray is there
        self._idle: list[Any] = []
        self._busy: set[Any] = set()
        self._waiters = ThreadPoolExecutor(1)
        self._left = Event()
        self._ours = False

    def run(self, candidates: Sequence[Candidate]) -> Iterator[tuple[Candidate, ProxyResult]]:
        """Yield (candidate, result) in order; see `Executor.run`.

        Raises ExecutorError: no cluster at the address, no room on it, a task that cannot be made.
        """
        if not candidates:
            return
        if not self._size:
            self._ours = connect(self._address)
            self._size = fitting(self._wanted, self._cpus, self._gpus)
        self._leave()
        self._waiters, self._left = ThreadPoolExecutor(self._size), (left := Event())
        results = [self._waiters.submit(self._evaluate, one) for one in candidates]
        try:
            for candidate, result in zip(candidates, results, strict=True):
                yield candidate, result.result()
        finally:
            if self._left is left:  # no other run has begun
                self._leave()

    def _leave(self) -> None:
        """End what is under way, in a run that is left: it would keep its workers busy."""
        self._waiters.shutdown(wait=False, cancel_futures=True)
        self._left.set()
        ended = list(self._busy)
        for worker in ended:
            ray.kill(worker)
        self._waiters.shutdown()
        # One of them may have been put back just before.
        self._idle = [worker for worker in self._idle if worker not in ended]

    def _evaluate(self, candidate: Candidate) -> ProxyResult:
        """In a thread of its own; tried again with a new worker when one dies."""
        attempts = 1 + self.policy.max_retries
        for _ in range(attempts):
            worker = self._take_worker()
            try:
                if self._left.is_set():
                    break
                return self._evaluate_on(worker, candidate)
            except ray.exceptions.GetTimeoutError:
                ray.kill(worker)
                return lost(f"did not return within {self._patience:g} s; its worker was ended")
            except ray.exceptions.RayError as error:
                ray.kill(worker)
                if self._left.is_set():
                    break
                _logger.warning("candidate %s: %s", candidate.id, error)
            finally:
                self._busy.discard(worker)
        return lost_after(attempts, "the worker's process died")

    def _evaluate_on(self, worker: Any, candidate: Candidate) -> ProxyResult:
        """Raises what ends the run; GetTimeoutError and other RayErrors when the worker is lost."""
        if not ray.wait([worker.__ray_ready__.remote()], timeout=_SLOW_START)[0]:
            _logger.warning(
                "no worker is ready yet: each needs %g CPUs and %g GPUs, which other jobs of the "
                "cluster may hold; `ray status` tells what is free",
                self._cpus,
                self._gpus,
            )
        try:
            ray.get(worker.prepare.remote())
        except ray.exceptions.RayTaskError as error:
            reason = one_line(error.cause or error)
            raise ExecutorError(f"a worker could not make its task: {reason}\n{error}") from None
        try:
            outcome, said = ray.get(worker.evaluate.remote(candidate), timeout=self._patience)
        except ray.exceptions.RayTaskError as error:  # what it gave cannot be pickled
            outcome, said = lost_after(1, one_line(error.cause or error)), [str(error)]
        self._idle.append(worker)
        for line in said:
            _logger.warning(line)
        if isinstance(outcome, BaseException):
            raise outcome
        answer: ProxyResult = outcome
        return answer

    def _take_worker(self) -> Any:
        """One that is idle, or a new one; there are as many threads as workers may be."""
        try:
            worker = self._idle.pop()
        except IndexError:
            worker = self._new_worker()
        self._busy.add(worker)
        return worker

    def _new_worker(self) -> Any:
        environment = {
            # It finds the modules that the driver finds, also those next to a script.
            "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path),
            "OMP_NUM_THREADS": str(self._threads),
        }
        actor_class: Any = ray.remote(_Worker)
        return actor_class.options(
            num_cpus=self._cpus, num_gpus=self._gpus, runtime_env={"env_vars": environment}
        ).remote(self._make, self.policy, self._threads)

    def close(self) -> None:
        """End the workers, and Ray if it was started here; a second call does nothing."""
        self._leave()
        if ray.is_initialized():
            for worker in self._idle:
                ray.kill(worker)
        if self._ours:
            ray.shutdown()
        self._idle, self._size, self._ours = [], 0, False
