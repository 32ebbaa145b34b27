"""Signals: a search asked to stop finishes what it writes, then stops; a call gets a time limit.

Python runs a handler between two steps of its main thread, wherever that happens to be; an
exception raised there unwinds the program like any other, through every ``finally`` and ``with``.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM)
"""What a terminal's Ctrl-C, and what `kill`, a batch system or a container's end send."""


class Interrupted(BaseException):
    """The process was asked to stop. Not an Exception: `except Exception` must not swallow it.

    A script that stops for it exits with ``exit_code``, 128 + ``signum``: 130 or 143.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """What a shell expects of a process that a signal stopped."""
        return 128 + self.signum


class TimeLimitExceeded(BaseException):
    """`time_limit` struck. Not an Exception: the code it stops must not swallow it."""


@dataclass
class _State:
    """Of this process. Signals belong to a process, so there can be only one."""

    previous: dict[int, Any] = field(default_factory=dict)  # handlers to put back; {} = not ours
    writing: int = 0  # depth of `uninterrupted`
    patient: int = 0  # depth of those that a second signal does not end either
    asked: int | None = None  # the signal that asked to stop


_state = _State()


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM raise `Interrupted` in here, but never inside `uninterrupted`.

    A second signal raises again, so it also ends a clean-up that hangs. A signal that was ignored
    (SIGINT of a background job) stays ignored. Outside the main thread, which alone gets signals,
    and inside another `interruptible`, this does nothing.
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
    """For a script that stops for `Interrupted`, before its last words: no signal is an exception
    from here on, but ends the process with the status that belongs to it.

    Otherwise a second Ctrl-C strikes while the interpreter ends, as a KeyboardInterrupt.
    """
    for signum in _state.previous:
        signal.signal(signum, _leave)
    _state.previous.clear()  # `interruptible` puts nothing back


@contextmanager
def uninterrupted(patient: bool = True) -> Iterator[None]:
    """For a write that must be whole: a signal in here is remembered, and raised right after it.

    Not ``patient``: a second signal is raised at once. For what is better whole, but may hang.

    So is one that was raised earlier and got lost, as in a ``__del__``, where Python drops
    exceptions: a search that goes on writing after it was asked to stop stops here.
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
    """Raise `TimeLimitExceeded` in here after so many seconds (wall clock); None = never.

    By SIGALRM, whose handler is put back, but not a timer of somebody else's. Code that never
    returns to the interpreter is stopped only when it does. Code that swallows the exception never
    passes as finished in time.

    Raises RuntimeError outside the main thread, which alone gets signals.
    """
    if seconds is None:
        yield
        return
    if not _in_main_thread():
        raise RuntimeError(
            "a timeout uses a signal, which needs the main thread; evaluate there, leave the "
            "timeout out, or use the ray executor, whose workers can be stopped from any thread"
        )
    struck = TimeLimitExceeded(f"not finished after {seconds:g} s")

    def strike(signum: int, frame: FrameType | None) -> None:
        raise struck

    handler = signal.signal(signal.SIGALRM, strike)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:  # may be cut short by the alarm, which comes once
            signal.setitimer(signal.ITIMER_REAL, 0.0)
    finally:
        signal.signal(signal.SIGALRM, handler or signal.SIG_DFL)
    if struck.__traceback__ is not None:
        raise struck


def _stop(signum: int, frame: FrameType | None) -> None:
    again, _state.asked = _state.asked is not None, signum
    if not _state.writing or (again and not _state.patient):
        raise Interrupted(signum)


def _leave(signum: int, frame: FrameType | None) -> None:
    os._exit(Interrupted(signum).exit_code)


def _put_back() -> None:
    _state.writing += 1  # a signal must not cut this short
    for signum, handler in _state.previous.items():
        # None: a handler that was not installed from Python cannot be put back from there.
        signal.signal(signum, signal.SIG_DFL if handler is None else handler)
    _state.previous.clear()
    _state.asked = None
    _state.writing -= 1


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


# A forked data loader worker is not the search: it must die of SIGTERM as its parent expects, and
# not unwind the parent's stack that it has a copy of.
os.register_at_fork(after_in_child=_put_back)
