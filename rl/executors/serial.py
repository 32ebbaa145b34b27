"""The plainest executor: one candidate after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from types import TracebackType

from rl.executors.attempts import AttemptPolicy, Failure, attempt
from rl.executors.base import Candidate, Executor, check_ids
from rl.proxy import ProxyResult, ProxyTask
from rl.signals import TimeLimitExceeded, time_limit

__all__ = ["Candidate", "Executor", "SerialExecutor", "make_serial"]


class SerialExecutor:
    """One candidate after the other; the next starts when its result is asked for.

    Args:
        task: evaluates them.
        max_retries: further attempts after an exception; see `rl.executors.attempts`.
        timeout: seconds that one attempt may take; None = any. Needs the main thread, and stops
            code that never returns to the interpreter only when it does (`rl.signals.time_limit`).
    """

    def __init__(
        self, task: ProxyTask, *, max_retries: int = 2, timeout: float | None = None
    ) -> None:
        self.task = task
        self.policy = AttemptPolicy(max_retries, timeout)

    def run(self, candidates: Sequence[Candidate]) -> Iterator[tuple[Candidate, ProxyResult]]:
        """Yield (candidate, result) in order; ValueError when an id comes twice."""
        check_ids(candidates)
        return ((candidate, self._evaluate(candidate)) for candidate in candidates)

    def _evaluate(self, candidate: Candidate) -> ProxyResult:
        for number in count(1):
            try:
                with time_limit(self.policy.timeout):
                    outcome = attempt(self.task, candidate)
            except TimeLimitExceeded:
                outcome = Failure.too_long(self.policy.timeout)
            result = self.policy.verdict(candidate, number, outcome)
            if result is not None:
                return result
        raise AssertionError("count ends")

    def close(self) -> None:
        """Nothing to let go of."""

    def __enter__(self) -> SerialExecutor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def make_serial(
    make: Callable[[], ProxyTask], *, max_retries: int = 2, timeout: float | None = None
) -> SerialExecutor:
    """The executor of the task that ``make()`` gives, made now."""
    return SerialExecutor(make(), max_retries=max_retries, timeout=timeout)
