"""Candidates evaluated by Ray actors, in parallel, on this machine or on a cluster.

The order in which they finish does not matter: results are yielded in the order of the candidates.
So serial and Ray write the same journal.

A thread waits for each worker. So the main thread, which gets the signals, waits outside Ray, which
breaks when a handler raises inside it.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Event
from typing import Any

import torch

from rl.executors.attempts import AttemptPolicy, lost_after, one_line
from rl.executors.base import Candidate, Executor
from rl.executors.worker import Worker
from rl.proxy import ProxyResult, ProxyTask

try:
    import ray
except ImportError as error:
    raise ImportError(
        "the ray executor needs Ray: pip install -e '.[ray]', or use the serial executor"
    ) from error

from rl.executors.ray_cluster import connect, fitting

_logger = logging.getLogger(__name__)


class RayExecutor(Executor):
    """Keeps workers busy with candidates; each makes the task once and keeps it.

    Ray is started or joined at the first candidate. The output of workers is in Ray's own log
    files; the traceback of a failed attempt is also in this process's log. A worker that dies is
    replaced, and its candidate repeated.

    Args:
        make: () -> ProxyTask, picklable; called once in each worker.
        workers: number of workers; None = as many as the cluster's resources allow.
        cpus: CPUs per worker; Ray counts but does not enforce them.
        gpus: GPUs per worker: 0.5 puts two workers on each. A worker sees only its own GPUs.
        max_retries: further attempts after an exception, and after the loss of the worker.
        timeout: seconds that one attempt may take, from its start in the worker; None = no limit.
            Code that never returns to the interpreter is killed with its worker after twice this.
        address: of a cluster; None = the environment's RAY_ADDRESS, or a new one on this machine.
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
        self._make, self._address = make, address
        self._wanted: dict[str, Any] = {"workers": workers, "cpus": cpus, "gpus": gpus}
        self._threads = threads or torch.get_num_threads()
        self._size = 0  # size of the pool; 0 until Ray has started
        self._workers: set[Any] = set()
        self._idle: list[Any] = []  # idle workers
        self._run = ExitStack()  # ends the current run
        self._ours = False

    def run(self, candidates: Sequence[Candidate]) -> Iterator[ProxyResult]:
        """Yield their results in order; see `Executor.run`.

        Raises ExecutorError: no cluster at the address, no room on it, or the task cannot be made.
        """
        if not candidates:
            return
        if not self._size:
            self._ours = connect(self._address)
            self._size = fitting(**self._wanted)
        self._run.close()
        threads, left, self._run = ThreadPoolExecutor(self._size), Event(), (run := ExitStack())
        run.callback(self._leave, threads, left)
        with run:
            results = [threads.submit(self._evaluate, one, left) for one in candidates]
            for result in results:
                yield result.result()

    def _leave(self, threads: ThreadPoolExecutor, left: Event) -> None:
        """End running evaluations of an abandoned run, which would keep its workers busy."""
        threads.shutdown(wait=False, cancel_futures=True)
        left.set()
        for worker in self._workers - set(self._idle):
            self._end(worker)
        threads.shutdown()
        # One of them may just have been returned.
        self._idle = [worker for worker in self._idle if worker in self._workers]

    def _evaluate(self, candidate: Candidate, left: Event) -> ProxyResult:
        """Runs in its own thread; retries with a new worker when one dies."""
        attempts = 1 + self.policy.max_retries
        for _ in range(attempts):
            worker = self._take_worker()
            if left.is_set():
                self._idle.append(worker)
                break
            try:
                return self._evaluate_on(worker, candidate)
            except ray.exceptions.RayError as error:
                self._end(worker)
                if left.is_set():  # a new worker would be killed right away
                    break
                _logger.warning("candidate %s: %s", candidate.id, error)
        return lost_after(attempts, "the worker's process died")

    def _evaluate_on(self, worker: Any, candidate: Candidate) -> ProxyResult:
        """Raises what ends the run; RayError when the worker is lost."""
        try:
            outcome, said = ray.get(worker.evaluate.remote(candidate))
        except ray.exceptions.RayTaskError as error:  # its result cannot be pickled
            outcome, said = lost_after(1, one_line(error.cause or error)), [str(error)]
        self._idle.append(worker)
        for line in said:
            _logger.warning(line)
        if isinstance(outcome, BaseException):
            raise outcome
        answer: ProxyResult = outcome
        return answer

    def _take_worker(self) -> Any:
        """An idle worker, or a new one; there are at most as many threads as workers."""
        try:
            return self._idle.pop()
        except IndexError:
            pass
        environment = {
            # It finds the modules that the driver finds, including those next to a script.
            "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path),
            "OMP_NUM_THREADS": str(self._threads),
        }
        options = {f"num_{kind}": self._wanted[kind] for kind in ("cpus", "gpus")}
        actor: Any = ray.remote(Worker).options(**options, runtime_env={"env_vars": environment})
        worker = actor.remote(self._make, self.policy, self._threads)
        self._workers.add(worker)
        return worker

    def _end(self, worker: Any) -> None:
        ray.kill(worker)
        self._workers.discard(worker)

    def close(self) -> None:
        """End the workers, and Ray if it was started here; a second call does nothing."""
        self._run.close()
        if ray.is_initialized():
            for worker in list(self._workers):
                self._end(worker)
        if self._ours:
            ray.shutdown()
        self._workers, self._idle, self._size, self._ours = set(), [], 0, False
