"""Candidates evaluated in this process, one after the other; Ray workers use `evaluate` as well.

An exception says nothing about theta: it is logged, and the candidate retried; when all attempts
failed, the evaluation is lost. One that exceeds the timeout is lost at once, since it would take as
long again; one whose worker has to be killed is retried.
``failed(...)`` from the task itself is a result and not retried. A data error is raised: every
other candidate would hit it too.
"""

from __future__ import annotations

import errno
import logging
import math
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from rl.executors.base import Candidate, Executor, ExecutorError
from rl.proxy import (
    ProxyResult,
    ProxyTask,
    RewardError,
    check_result,
    lost,
)
from rl.signals import TimeLimitExceeded, time_limit

_logger = logging.getLogger(__name__)
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


@dataclass(frozen=True)
class AttemptPolicy:
    """How often and how long to try.

    Args:
        max_retries: further attempts after one that raised or whose worker died.
        timeout: seconds (wall clock) that one attempt may take; None = no limit. Needs the main
            thread of the process, and stops code outside the interpreter only when it returns
            (`rl.signals.time_limit`).
    """

    max_retries: int = 2
    timeout: float | None = None

    def __post_init__(self) -> None:
        timeout = 1.0 if self.timeout is None else self.timeout
        if self.max_retries < 0 or not 0.0 < timeout < math.inf:
            raise ValueError(
                "expected max_retries >= 0 and a timeout of > 0 seconds, or None for no limit; got "
                f"{self.max_retries!r} and {self.timeout!r}"
            )


class SerialExecutor(Executor):
    """One candidate after the other; the next starts when its result is requested.

    Args:
        task: evaluates them.
        max_retries, timeout: see `AttemptPolicy`.
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


def evaluate(
    task: ProxyTask,
    candidate: Candidate,
    policy: AttemptPolicy,
    log: Callable[[str], None],
    limit: Callable[[float | None], AbstractContextManager[None]] = time_limit,
) -> ProxyResult:
    """The task's result, or a lost one; ``log`` gets every failed attempt.

    ``limit`` stops an attempt that exceeds the timeout with TimeLimitExceeded.

    Raises ExecutorError for a theta of another dimension than the task's space, and for a reward
    outside [0, 1]: no further attempt and no other candidate would do better.
    """
    space = getattr(task, "space", None)
    if space is not None and candidate.theta.shape != (space.dim,):
        raise ExecutorError(
            f"expected thetas of shape ({space.dim},), the coordinates of {space}; got "
            f"{candidate.theta.shape}: make the agent for this space"
        )
    attempts = 1 + policy.max_retries
    for number in range(1, attempts + 1):
        try:
            with limit(policy.timeout):
                # A copy: a task that writes into its argument must not change the candidate.
                result = task.evaluate(candidate.theta.copy(), candidate.seed, candidate.budget)
            return check_result(task, result)
        except TimeLimitExceeded:
            reason = f"stopped after {policy.timeout:g} s, the timeout"
            log(f"candidate {candidate.id}: attempt {number} of {attempts} failed\n{reason}")
            return lost(reason)
        except RewardError as error:
            raise ExecutorError(str(error)) from error
        except Exception as error:
            if is_data_error(error, tuple(getattr(task, "data_errors", ()))):
                raise
            reason, trace = one_line(error), traceback.format_exc().rstrip()
            log(f"candidate {candidate.id}: attempt {number} of {attempts} failed\n{trace}")
    return lost_after(attempts, reason)


def lost_after(attempts: int, reason: str) -> ProxyResult:
    """The result of a candidate whose attempts all failed, the last one for this reason."""
    if attempts == 1:
        return lost(f"1 attempt failed: {reason}")
    return lost(f"{attempts} attempts failed; the last: {reason}")


def one_line(error: BaseException) -> str:
    """The exception's type and the first line of its message."""
    name, (first, *_) = type(error).__name__, str(error).strip().splitlines() or [""]
    return f"{name}: {first}" if first else name


def is_data_error(error: Exception, data_errors: tuple[type[Exception], ...]) -> bool:
    """Whether the error concerns a file or a disk, rather than this evaluation.

    An OSError does if it names a file, if the disk is at fault, or if a reader raised it with its
    own message, without a number; so do those passed on by a PyTorch data loader's worker.
    """
    if isinstance(error, ConnectionError | TimeoutError):
        return False
    if isinstance(error, OSError):
        return error.filename is not None or error.errno in (None, *_DISK)
    return isinstance(error, data_errors)
