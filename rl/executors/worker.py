"""What executors with worker processes have in common, and the code in a worker."""

from __future__ import annotations

import logging
import pickle
import traceback
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cached_property

import torch

from rl.executors.base import Candidate, Executor, ExecutorError
from rl.executors.serial import AttemptPolicy, evaluate, one_line
from rl.proxy import ProxyResult, ProxyTask

Answer = tuple[ProxyResult | BaseException, list[str]]
"""Of a worker: the result, or the error that ends the run; and log messages."""

_logger = logging.getLogger(__name__)


class WorkerExecutor(Executor):
    """Base of executors with worker processes, which start at the first candidate.

    An unfinished run is ended by the next one, or by `close`.
    """

    def __init__(self) -> None:
        self._running = self._results(())

    def run(self, candidates: Sequence[Candidate]) -> Iterator[ProxyResult]:
        """Yield their results in order; see `Executor.run`.

        Raises ExecutorError: the task cannot be made, a worker process died, or Ray has no cluster
        at the address, or no room on it.
        """
        self._running.close()
        self._running = self._results(candidates)
        return self._running

    def close(self) -> None:
        """End the workers, and Ray if it was started here; a second call does nothing."""
        self._running.close()
        self._end_workers()

    @abstractmethod
    def _results(self, candidates: Sequence[Candidate]) -> Generator[ProxyResult]: ...

    @abstractmethod
    def _end_workers(self) -> None: ...


def unpacked(answer: Answer) -> ProxyResult:
    """The result of an answer; logs its messages, and raises its error."""
    outcome, said = answer
    for line in said:
        _logger.warning(line)
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


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
            return _portable(error), said


def _portable(error: BaseException) -> BaseException:
    """The error, or one with the same words if it cannot be sent to another process: many
    exceptions with arguments of their own can be pickled, but not made again."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return ExecutorError(f"{one_line(error)}\n{''.join(traceback.format_exception(error))}")
    return error
