"""The code in an executor's worker process."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cached_property

import torch

from rl.executors.base import Candidate, ExecutorError
from rl.executors.serial import AttemptPolicy, evaluate, one_line
from rl.proxy import ProxyResult, ProxyTask

Answer = tuple[ProxyResult | BaseException, list[str]]
"""Of a worker: the result, or the error that ends the run; and log messages."""


class Worker:
    """Makes the task once, at its first candidate.

    Args:
        make: () -> ProxyTask.
        policy: of attempts at a candidate.
        threads: of torch.
        limit: context manager that stops an attempt after so many seconds.
    """

    def __init__(
        self,
        make: Callable[[], ProxyTask],
        policy: AttemptPolicy,
        threads: int,
        limit: Callable[[float | None], AbstractContextManager[None]],
    ) -> None:
        # Sums in another order differ in the last bits: results on a CPU depend on the number of
        # threads, so every worker uses as many as the driver would.
        torch.set_num_threads(threads)
        self._make, self._policy, self._limit = make, policy, limit

    @cached_property
    def _task(self) -> ProxyTask:
        try:
            return self._make()
        except Exception as error:
            raise ExecutorError(
                f"a worker could not make its task: {one_line(error)}\n{traceback.format_exc()}"
            ) from None

    def evaluate(self, candidate: Candidate) -> Answer:
        said: list[str] = []
        try:
            return evaluate(self._task, candidate, self._policy, said.append, self._limit), said
        except (Exception, SystemExit) as error:  # a pool would wrap it, Ray would end the actor
            return error, said
