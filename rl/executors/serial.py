"""One candidate after the other, in this process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rl.executors.attempts import AttemptPolicy, evaluate
from rl.executors.base import Candidate, Executor
from rl.proxy import ProxyResult, ProxyTask

_logger = logging.getLogger(__name__)


class SerialExecutor(Executor):
    """One candidate after the other; the next starts when its result is requested.

    Args:
        task: evaluates them.
        max_retries, timeout: see `rl.executors.attempts.AttemptPolicy`.
    """

    def __init__(
        self, task: ProxyTask, *, max_retries: int = 2, timeout: float | None = None
    ) -> None:
        self.task = task
        self.policy = AttemptPolicy(max_retries, timeout)

    def run(self, candidates: Sequence[Candidate]) -> Iterator[ProxyResult]:
        """Yield their results in order."""
        for candidate in candidates:
            yield evaluate(self.task, candidate, self.policy, _logger.warning)


def make_serial(make: Callable[[], ProxyTask], **options: Any) -> SerialExecutor:
    """The executor of the task made by ``make()``, called now."""
    return SerialExecutor(make(), **options)
