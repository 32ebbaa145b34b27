"""Candidates evaluated by Ray actors, in parallel, on this machine or on a cluster.

The order in which they finish decides nothing: results are handed out in the order of the
candidates. So serial and Ray write the same journal.
"""

from __future__ import annotations

import faulthandler
import logging
import math
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from rl.executors.attempts import AttemptPolicy, evaluate, lost_after, one_line
from rl.executors.base import Candidate, Executor, ExecutorError
from rl.proxy import ProxyResult, ProxyTask
from rl.signals import uninterrupted

try:
    import ray
except ImportError as error:
    raise ImportError(
        "the ray executor needs Ray: pip install -e '.[ray]', or use the serial executor"
    ) from error

from rl.executors.ray_cluster import connect, fitting

_SLICE = 0.5
"""Seconds of one wait, and so the longest that a signal waits."""

_SLOW_START = 60.0
"""Seconds without a worker after which a line says so."""

_logger = logging.getLogger(__name__)


class _Worker:
    """Runs in an actor's process: makes the task at its first candidate, and keeps it."""

    def __init__(self, make: Callable[[], ProxyTask], policy: AttemptPolicy, threads: int) -> None:
        # Sums in another order differ in the last bits: results on a CPU depend on the number of
        # threads, so every worker has as many as the driver would use itself.
        torch.set_num_threads(threads)
        self._make, self._policy = make, policy
        self._task: ProxyTask | None = None

    def evaluate(self, candidate: Candidate) -> tuple[ProxyResult | BaseException, list[str]]:
        """The result, or what ends the run; and what is to be logged."""
        said: list[str] = []

        def log(failure: str) -> None:
            said.append(failure)
            self._watch()  # the next attempt

        try:
            if self._task is None:
                self._task = self._make()
        except Exception as error:
            reason, trace = one_line(error), traceback.format_exc()
            return ExecutorError(f"a worker could not make its task: {reason}\n{trace}"), said
        try:
            self._watch()
            return evaluate(self._task, candidate, self._policy, log), said
        except (Exception, SystemExit) as error:  # Ray would wrap it, and end the actor
            return error, said
        finally:
            faulthandler.cancel_dump_traceback_later()

    def _watch(self) -> None:
        """End the process if its code does not return to the interpreter, where signals act."""
        if self._policy.timeout is not None:
            faulthandler.dump_traceback_later(2 * self._policy.timeout, exit=True, file=2)


class RayExecutor(Executor):
    """Keeps workers busy with candidates; each makes the task once and keeps it.

    Ray starts, or is joined, at the first candidate. What workers print is in Ray's own log files;
    the traceback of a failed attempt also comes to this process's log. Ray replaces a worker that
    dies, and repeats its candidate.

    Args:
        make: () -> ProxyTask, picklable; called once in each worker.
        workers: how many; None = as many as the cluster's resources allow.
        cpus: what a worker takes of a node's CPUs; Ray counts, it does not enforce.
        gpus: of its GPUs: 0.5 puts two workers on each. A worker sees only the GPUs it was given.
        max_retries: further attempts after an exception, and after the loss of the worker.
        timeout: seconds that one attempt may take, from its start in the worker; None = any. Code
            that never returns to the interpreter is ended with its worker after twice as long, and
            that is a worker's loss: it costs up to 2 * (1 + max_retries) timeouts.
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
        self._make, self._address, self._wanted = make, address, workers
        self._cpus, self._gpus = cpus, gpus
        self._threads = threads or torch.get_num_threads()
        self._size: int | None = None  # of the pool, once Ray is there
        self._idle: list[Any] = []
        self._starting: list[Any] = []  # Ray's references to what a worker answers first
        self._patience = math.inf  # until when none may have answered
        self._ours = False

    def run(self, candidates: Sequence[Candidate]) -> Iterator[tuple[Candidate, ProxyResult]]:
        """Yield (candidate, result) in order; see `Executor.run`.

        Raises ExecutorError: no cluster at the address, no room on it, a task that cannot be made.
        """
        if not candidates:
            return
        waiting = list(enumerate(candidates))[::-1]
        running: dict[Any, tuple[int, Any]] = {}  # Ray's reference -> the candidate's place, worker
        done: dict[int, ProxyResult] = {}
        self._size = self._size or self._open()
        try:
            for place, candidate in enumerate(candidates):
                while place not in done:
                    while waiting and (self._idle or len(running) < self._size):
                        worker = self._idle.pop() if self._idle else self._new_worker()
                        number, one = waiting.pop()
                        running[worker.evaluate.remote(one)] = number, worker
                    finished = first_finished(list(running))
                    if time.monotonic() > self._patience:
                        self._tell_if_none_is_ready()
                    for reference in finished:
                        number, worker = running.pop(reference)
                        done[number] = self._result(candidates[number], worker, reference)
                yield candidate, done.pop(place)
        finally:  # a run that is left: what is under way would keep its worker busy
            for _, worker in running.values():
                _kill(worker)

    def _open(self) -> int:
        """Connect to the cluster; how many workers to have."""
        self._ours = connect(self._address)
        size = fitting(self._wanted, self._cpus, self._gpus)
        self._patience = time.monotonic() + _SLOW_START
        return size

    def _tell_if_none_is_ready(self) -> None:
        """A warning, once: Ray itself waits for resources without a word."""
        self._patience = math.inf
        with uninterrupted():
            ready, _ = ray.wait(self._starting, num_returns=1, timeout=0)
        if not ready:
            _logger.warning(
                "no worker is ready yet: each needs %g CPUs and %g GPUs, which other jobs of the "
                "cluster may hold; `ray status` tells what is free",
                self._cpus,
                self._gpus,
            )

    def _new_worker(self) -> Any:
        environment = {
            # It finds the modules that the driver finds, also those next to a script.
            "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path),
            "OMP_NUM_THREADS": str(self._threads),
        }
        actor_class: Any = ray.remote(_Worker)
        worker = actor_class.options(
            num_cpus=self._cpus,
            num_gpus=self._gpus,
            max_restarts=-1,
            max_task_retries=self.policy.max_retries,
            runtime_env={"env_vars": environment},
        ).remote(self._make, self.policy, self._threads)
        self._starting.append(worker.__ray_ready__.remote())
        return worker

    def _result(self, candidate: Candidate, worker: Any, reference: Any) -> ProxyResult:
        outcome: ProxyResult | BaseException
        try:
            with uninterrupted():
                outcome, said = ray.get(reference)
        except ray.exceptions.RayTaskError as error:  # what it gave cannot be pickled
            self._idle.append(worker)
            _logger.warning("candidate %s: %s", candidate.id, error)
            return lost_after(1, one_line(error.cause or error))
        except ray.exceptions.RayError as error:
            _kill(worker)
            _logger.warning("candidate %s: %s", candidate.id, error)
            return lost_after(1 + self.policy.max_retries, "the worker's process died")
        self._idle.append(worker)
        for line in said:
            _logger.warning(line)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def close(self) -> None:
        """End the workers, and Ray if it was started here; a second call does nothing."""
        for worker in self._idle:
            _kill(worker)
        if self._ours:
            ray.shutdown()
        self._idle, self._starting, self._size, self._ours = [], [], None, False


def _kill(worker: Any) -> None:
    if ray.is_initialized():
        ray.kill(worker)


def first_finished(references: list[Any]) -> list[Any]:
    """Those whose results are there, after a short wait for the first."""
    # Ray looks at signals while it waits, and breaks when a handler raises anything other than
    # KeyboardInterrupt: a signal acts when the wait is over.
    with uninterrupted():
        ready, _ = ray.wait(references, num_returns=1, timeout=_SLICE)
        return ready
