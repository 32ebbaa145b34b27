"""One Ray actor: a process that makes the task once, keeps it warm, and evaluates with it."""

from __future__ import annotations

import math
import os
import pickle
import sys
import time
from dataclasses import dataclass
from typing import Any

import ray
import torch

from rl.executors.attempts import Failure, attempt
from rl.executors.base import Candidate
from rl.proxy import ProxyResult, ProxyTask
from rl.signals import uninterrupted


@dataclass(frozen=True)
class Job:
    """Attempt `number` = 1, 2, … at a candidate."""

    candidate: Candidate
    number: int = 1


@dataclass(frozen=True)
class Stop:
    """The task raised what ends the run: a data error, SystemExit, KeyboardInterrupt."""

    error: BaseException


Outcome = ProxyResult | Failure | Stop


class _Actor:
    """Runs in the worker's process. Never raises, so an error from Ray means a lost worker."""

    task: ProxyTask

    def build(self, make: bytes, threads: int) -> Failure | None:
        # Sums in another order differ in the last bits: results on CPU depend on the number of
        # threads, so every worker has as many as the driver would use itself.
        torch.set_num_threads(threads)
        try:
            self.task = pickle.loads(make)()
        except (Exception, SystemExit) as error:
            return Failure.of(error)
        return None

    def evaluate(self, candidate: Candidate, timeout: float | None) -> Outcome:
        start = time.monotonic()
        try:
            outcome = attempt(self.task, candidate)
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            return Stop(error)
        # The driver looks only now and then, and may have missed that this went on for too long.
        late = timeout is not None and time.monotonic() - start > timeout
        return Failure.too_long(timeout) if late else outcome


class Worker:
    """The driver's side of an actor: what it does, and where its answer will be.

    Args:
        make: reference to the pickled factory of the task.
        threads: of torch and other libraries of its process.
        cpus, gpus: what it takes of the cluster.
    """

    def __init__(self, make: ray.ObjectRef[bytes], threads: int, cpus: float, gpus: float) -> None:
        environment = {
            # It finds the modules that the driver finds, also those next to a script.
            "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path),
            "OMP_NUM_THREADS": str(threads),
        }
        actor_class: Any = ray.remote(_Actor)
        self._actor = actor_class.options(
            num_cpus=cpus,
            num_gpus=gpus,
            # The executor replaces a lost worker and repeats its candidate itself: it counts.
            max_restarts=0,
            max_task_retries=0,
            runtime_env={"env_vars": environment},
        ).remote()
        self.made = False  # whether the actor has made its task
        self.job: Job | None = None
        self.deadline = math.inf
        self.answer: Any = self._actor.build.remote(make, threads)

    @property
    def idle(self) -> bool:
        """Whether it could start a job now."""
        return self.answer is None

    def start(self, job: Job, timeout: float | None) -> None:
        """Evaluate; the clock starts here, since an idle actor begins at once."""
        self.job = job
        self.deadline = math.inf if timeout is None else time.monotonic() + timeout
        self.answer = self._actor.evaluate.remote(job.candidate, timeout)

    def take(self) -> Any:
        """What `answer` refers to, which is there; raises RayError when the worker was lost."""
        answer = self.answer
        self.answer, self.job, self.deadline = None, None, math.inf
        with uninterrupted():
            return ray.get(answer)

    def kill(self) -> None:
        """End its process, whatever it does. An answer of it is never taken."""
        ray.kill(self._actor)
