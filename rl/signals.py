"""Signals: a search asked to stop finishes its writes, then stops; a call gets a time limit.

Python runs a handler between two bytecodes of its main thread; an exception raised there unwinds
the program like any other, through every ``finally`` and ``with``.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM)
"""The signals of Ctrl-C, and of `kill`, batch systems and stopping containers."""


class Interrupted(BaseException):
    """The process was asked to stop. Not an Exception: `except Exception` must not swallow it.

    A script that stops for it exits with ``exit_code``, 128 + ``signum``: 130 or 143.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """The exit status that a shell expects of a process stopped by a signal."""
        return 128 + self.signum


class TimeLimitExceeded(BaseException):
    """`time_limit` expired. Not an Exception: the code it stops must not swallow it."""


@dataclass
class _State:
    """Signal state of this process. Signals belong to a process, so there is only one."""

    previous: dict[int, Any] = field(default_factory=dict)  # handlers to restore; {} = not ours
    writing: int = 0  # depth of `uninterrupted`
    patient: int = 0  # depth of those that even a second signal does not end
    asked: int | None = None  # the signal that asked to stop


_state = _State()


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM raise `Interrupted` in here, but never inside `uninterrupted`.

    A second signal raises again, so it also ends a clean-up that hangs. A signal that was ignored
    (SIGINT of a background job) stays ignored. Does nothing outside the main thread, the only one
    that gets signals, and inside another `interruptible`.
    """
    if not _in_main_thread() or _state.previous:
        yield
        return
    try:
        for signum in STOPPING:
            if signal.getsignal(signum) is not signal.SIG_IGN:
                _state.previous[signum] = signal.getsignal(signum)
                signal.signal(signum, _stop)
        yield
    finally:
        _put_back()


def end_at_once() -> None:
    """From here on signals raise no exception but end the process with their exit status.

    For a script that stops on `Interrupted`, before its last message: a second Ctrl-C would raise
    KeyboardInterrupt while the interpreter exits.
    """
    for signum in _state.previous:
        signal.signal(signum, _leave)
    _state.previous.clear()  # `interruptible` restores nothing


@contextmanager
def uninterrupted(patient: bool = True) -> Iterator[None]:
    """For an atomic write: a signal in here is deferred, and raised right after it.

    Without ``patient`` a second signal is raised at once: for writes that might hang.

    A signal that was raised earlier but lost, as in a ``__del__``, where Python drops exceptions,
    is raised again: a search that kept writing after it was asked to stop, stops here.
    """
    if not _in_main_thread():
        yield
        return
    _state.writing += 1
    _state.patient += patient
    try:
        yield
    finally:
        _state.writing -= 1
        _state.patient -= patient
        if _state.writing == 0 and _state.asked is not None:
            raise Interrupted(_state.asked)


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raise `TimeLimitExceeded` in here after this many seconds (wall clock); None = never.

    Uses SIGALRM and restores its handler, but not a timer set by other code. Code outside the
    interpreter is stopped only when it returns. Code that swallows the exception does not count as
    finished in time.

    Raises RuntimeError outside the main thread, the only one that gets signals.
    """
    if seconds is None:
        yield
        return
    if not _in_main_thread():
        raise RuntimeError(
            "a timeout uses a signal, which needs the main thread; evaluate there, leave the "
            "timeout out, or use the executor processes or ray"
        )
    struck = TimeLimitExceeded(f"not finished after {seconds:g} s")

    def strike(signum: int, frame: FrameType | None) -> None:
        raise struck

    handler = signal.signal(signal.SIGALRM, strike)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:  # may be interrupted by the alarm, which comes only once
            signal.setitimer(signal.ITIMER_REAL, 0.0)
    finally:
        signal.signal(signal.SIGALRM, handler or signal.SIG_DFL)
    if struck.__traceback__ is not None:
        raise struck


@contextmanager
def hard_time_limit(seconds: float | None) -> Iterator[None]:
    """`time_limit`; code that no signal reaches is killed with its process after twice the time."""
    if seconds is not None:
        faulthandler.dump_traceback_later(2.0 * seconds, exit=True, file=2)
    try:
        with time_limit(seconds):
            yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def _stop(signum: int, frame: FrameType | None) -> None:
    again, _state.asked = _state.asked is not None, signum
    if not _state.writing or (again and not _state.patient):
        raise Interrupted(signum)


def _leave(signum: int, frame: FrameType | None) -> None:
    os._exit(Interrupted(signum).exit_code)


def _put_back() -> None:
    _state.writing += 1  # a signal must not interrupt this
    for signum, handler in _state.previous.items():
        # None: a handler that was not installed from Python cannot be restored from Python.
        signal.signal(signum, signal.SIG_DFL if handler is None else handler)
    _state.previous.clear()
    _state.asked = None
    _state.writing -= 1


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


# A forked data loader worker is not the search: it must die of SIGTERM, as its parent expects, and
# not unwind its copy of the parent's stack.
os.register_at_fork(after_in_child=_put_back)
