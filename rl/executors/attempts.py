"""What becomes of an evaluation that goes wrong: one policy and one wording for every executor.

An exception is logged with its traceback and the candidate tried again; when all its attempts
failed, it gets the floor reward. One that exceeds the timeout gets it at once, since it would take
as long again. ``failed(...)`` from the task itself is an answer, and no reason to try again. So a
search never stops for one candidate, and its journal is the same whoever evaluated.
"""

from __future__ import annotations

import logging
import math
import traceback
from dataclasses import dataclass

from rl.executors.base import Candidate
from rl.proxy import ProxyResult, ProxyTask, check_result, failed

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AttemptPolicy:
    """How often and how long to try.

    Args:
        max_retries: further attempts after one that raised or whose worker died.
        timeout: seconds (wall clock) that one attempt may take; None = any.
    """

    max_retries: int = 2
    timeout: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.max_retries, int) or self.max_retries < 0:
            raise ValueError(f"max_retries must be a whole number >= 0, got {self.max_retries!r}")
        if self.timeout is not None and not 0.0 < self.timeout < math.inf:
            raise ValueError(
                f"timeout is in seconds, > 0, or None for no limit; got {self.timeout!r}"
            )

    def verdict(
        self, candidate: Candidate, number: int, outcome: ProxyResult | Failure
    ) -> ProxyResult | None:
        """The candidate's result after attempt `number` = 1, 2, …; None = try again."""
        if isinstance(outcome, ProxyResult):
            return outcome
        attempts = 1 + self.max_retries
        _logger.warning(
            "candidate %s: attempt %d of %d failed\n%s",
            candidate.id,
            number,
            attempts,
            outcome.trace or outcome.words,
        )
        if number < attempts:
            return None
        if attempts == 1:
            return failed(f"1 attempt failed: {outcome.words}")
        return failed(f"{attempts} attempts failed; the last: {outcome.words}")

    def stopped(self, candidate: Candidate) -> ProxyResult:
        """The result of a candidate that exceeded the timeout."""
        result = failed(f"stopped after {self.timeout:g} s, its timeout")
        _logger.warning("candidate %s: %s", candidate.id, result.reason)
        return result


@dataclass(frozen=True)
class Failure:
    """An attempt without a result, in plain text, so that it travels between processes.

    Args:
        words: the exception's type and the first line of its message; goes into the journal.
        trace: its traceback, for the log.
    """

    words: str
    trace: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """The failure that an exception stands for."""
        name, (first, *_) = type(error).__name__, str(error).strip().splitlines() or [""]
        words = f"{name}: {first}" if first else name
        return cls(words, "".join(traceback.format_exception(error)).rstrip())


def attempt(task: ProxyTask, candidate: Candidate) -> ProxyResult | Failure:
    """Evaluate once. Exceptions become a Failure; Ctrl-C, exit and other stops pass through."""
    try:
        # A copy: a task that writes into its argument must not change the candidate.
        result = task.evaluate(candidate.theta.copy(), candidate.seed, candidate.budget)
        return check_result(task, result)
    except Exception as error:
        return Failure.of(error)
