"""The code in the actor processes of `rl.executors.ray`."""

from __future__ import annotations

import faulthandler
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property

import torch

from rl.executors.attempts import AttemptPolicy, evaluate, one_line
from rl.executors.base import Candidate, ExecutorError
from rl.proxy import ProxyResult, ProxyTask
from rl.signals import time_limit


class Worker:
    """Makes the task once, at its first candidate, and keeps it."""

    def __init__(self, make: Callable[[], ProxyTask], policy: AttemptPolicy, threads: int) -> None:
        # Sums in another order differ in the last bits: results on a CPU depend on the number of
        # threads, so every worker uses as many as the driver would.
        torch.set_num_threads(threads)
        self._make, self._policy = make, policy

    @cached_property
    def _task(self) -> ProxyTask:
        try:
            return self._make()
        except Exception as error:
            raise ExecutorError(
                f"a worker could not make its task: {one_line(error)}\n{traceback.format_exc()}"
            ) from None

    def evaluate(self, candidate: Candidate) -> tuple[ProxyResult | BaseException, list[str]]:
        """The result, or the error that ends the run; and log messages."""
        said: list[str] = []
        try:
            return evaluate(self._task, candidate, self._policy, said.append, _deadline), said
        except (Exception, SystemExit) as error:  # Ray would wrap it and end the actor
            return error, said


@contextmanager
def _deadline(seconds: float | None) -> Iterator[None]:
    """`time_limit`; code that no signal reaches is killed with its process after twice the time."""
    if seconds is not None:
        faulthandler.dump_traceback_later(2.0 * seconds, exit=True, file=2)
    try:
        with time_limit(seconds):
            yield
    finally:
        faulthandler.cancel_dump_traceback_later()
