"""Candidates evaluated by Ray actors, in parallel, on this machine or on a cluster.

Results are yielded in the order of the candidates, whichever finishes first: searches write the
same journal as with the serial executor.

This process waits for futures, never inside Ray: `ray.get` and `ray.wait` break when a signal's
handler raises there.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

import torch

from rl.executors.base import Candidate
from rl.executors.serial import AttemptPolicy, lost_after, one_line
from rl.executors.worker import Answer, Worker, WorkerExecutor, unpacked
from rl.proxy import ProxyResult, ProxyTask
from rl.signals import hard_time_limit

try:
    import ray
except ImportError as error:
    raise ImportError(
        "the ray executor needs Ray: pip install -e '.[ray]', or use the serial executor"
    ) from error

from rl.executors.ray_cluster import connect, fitting


class RayExecutor(WorkerExecutor):
    """Keeps workers busy with candidates; each makes the task once and keeps it.

    Ray is started or joined at the first candidate. The output of workers is in Ray's own log
    files; the traceback of a failed attempt is also in this process's log. Ray restarts a worker
    that dies, and repeats its candidate.

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
        # Idle workers, and whether each must be replaced; None until Ray has started.
        self._idle: SimpleQueue[tuple[Any, bool]] | None = None
        self._ours = False  # whether Ray was started here
        super().__init__()

    def _end_workers(self) -> None:
        self._idle = None  # Ray ends an actor that nobody refers to
        if self._ours:
            ray.shutdown()
        self._ours = False

    def _results(self, candidates: Sequence[Candidate]) -> Generator[ProxyResult]:
        sent: deque[tuple[Candidate, Future[Answer], Any]] = deque()
        try:
            for candidate in candidates:
                sent.append((candidate, *self._send(candidate)))
                while sent and sent[0][1].done():
                    yield self._result(*sent.popleft()[:2])
            for candidate, future, _ in sent:
                yield self._result(candidate, future)
        finally:  # evaluations of an abandoned run would keep its workers busy
            for _, future, worker in sent:
                if future.cancel():
                    ray.kill(worker)

    def _send(self, candidate: Candidate) -> tuple[Future[Answer], Any]:
        """Wait for an idle worker, and send it the candidate."""
        if self._idle is None:
            self._ours = connect(self._address)
            size, self._idle = fitting(**self._wanted), SimpleQueue()
            for _ in range(size):
                self._idle.put((None, True))
        idle = self._idle
        worker, spent = idle.get()
        if spent:
            if worker:  # Ray may be restarting it, and would lose what it is sent meanwhile
                ray.kill(worker)
            worker = self._new_worker()
        future: Future[Answer] = worker.evaluate.remote(candidate).future()
        future.add_done_callback(
            lambda one: idle.put((worker, one.cancelled() or one.exception() is not None))
        )
        return future, worker

    def _new_worker(self) -> Any:
        environment = {
            # It finds the modules that the driver finds, including those next to a script.
            "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path),
            "OMP_NUM_THREADS": str(self._threads),
        }
        actor: Any = ray.remote(Worker).options(
            num_cpus=self._wanted["cpus"],
            num_gpus=self._wanted["gpus"],
            max_restarts=-1,
            max_task_retries=self.policy.max_retries,
            runtime_env={"env_vars": environment},
        )
        return actor.remote(self._make, self.policy, self._threads, hard_time_limit)

    def _result(self, candidate: Candidate, future: Future[Answer]) -> ProxyResult:
        answer: Answer
        try:
            answer = future.result()
        except ray.exceptions.RayTaskError as error:  # its result cannot be pickled
            answer = lost_after(1, one_line(error.cause or error)), [str(error)]
        except ray.exceptions.RayError as error:
            result = lost_after(1 + self.policy.max_retries, "the worker's process died")
            answer = result, [f"candidate {candidate.id}: {error}"]
        return unpacked(answer)
