"""What becomes of an evaluation that goes wrong: one policy and one wording for every executor.

An exception or the end of a worker says nothing of theta: it is logged, and the candidate tried
again; when all its attempts failed, its evaluation is lost. One that exceeds the timeout is lost
at once, since it would take as long again. ``failed(...)`` from the task itself is an answer, and
no reason to try again. A data error is raised: every other candidate would meet it too.
"""

from __future__ import annotations

import errno
import logging
import math
import traceback
from dataclasses import dataclass

from rl.executors.base import Candidate
from rl.proxy import ProxyResult, ProxyTask, check_result, data_errors_of, lost

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)

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
        if not outcome.again:
            return lost(outcome.words)
        if number < attempts:
            return None
        if attempts == 1:
            return lost(f"1 attempt failed: {outcome.words}")
        return lost(f"{attempts} attempts failed; the last: {outcome.words}")


@dataclass(frozen=True)
class Failure:
    """An attempt without a result, in plain text, so that it travels between processes.

    Args:
        words: the exception's type and the first line of its message; goes into the journal.
        trace: its traceback, for the log.
        again: whether another attempt may succeed.
    """

    words: str
    trace: str = ""
    again: bool = True

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """The failure that an exception stands for."""
        name, (first, *_) = type(error).__name__, str(error).strip().splitlines() or [""]
        words = f"{name}: {first}" if first else name
        return cls(words, "".join(traceback.format_exception(error)).rstrip())

    @classmethod
    def too_long(cls, timeout: float | None) -> Failure:
        """That of an attempt which exceeded the timeout, in seconds."""
        return cls(f"stopped after {timeout:g} s, its timeout", again=False)


def attempt(task: ProxyTask, candidate: Candidate) -> ProxyResult | Failure:
    """Evaluate once. Exceptions become a Failure; data errors, Ctrl-C and exit pass through."""
    try:
        # A copy: a task that writes into its argument must not change the candidate.
        result = task.evaluate(candidate.theta.copy(), candidate.seed, candidate.budget)
        return check_result(task, result)
    except Exception as error:
        if is_data_error(error, data_errors_of(task)):
            raise
        return Failure.of(error)


def is_data_error(error: Exception, data_errors: tuple[type[Exception], ...]) -> bool:
    """Whether it tells of a file or a disk, rather than of this evaluation.

    An OSError does when it names a file, when the disk is at fault, or when it is a reader's own
    words, without a number; so are those that a PyTorch data loader's worker sends on.
    """
    if isinstance(error, ConnectionError | TimeoutError):
        return False
    if isinstance(error, OSError):
        return error.filename is not None or error.errno in (None, *_DISK)
    return isinstance(error, data_errors)
