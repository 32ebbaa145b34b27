"""Asked to stop: whole writes first, then out. And time limits."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import time
from collections.abc import Iterator

import pytest

from rl.journal import Journal, read_journal
from rl.signals import Interrupted, TimeLimitExceeded, interruptible, time_limit, uninterrupted

BOTH = pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])


def _send(signum: int) -> None:
    """The signal, handled before this returns."""
    os.kill(os.getpid(), signum)
    time.sleep(0.001)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Python's own handlers (a background job's Ctrl-C is ignored), checked and put back."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    old = {signum: signal.signal(signum, handler) for signum, handler in usual.items()}
    yield
    assert {signum: signal.signal(signum, handler) for signum, handler in old.items()} == usual


@BOTH
def test_a_signal_raises(signum: int) -> None:
    with pytest.raises(Interrupted) as caught, interruptible():
        _send(signum)
        pytest.fail("went on")
    assert str(caught.value) == f"stopped by {signal.Signals(signum).name}"
    assert caught.value.signum == signum
    assert caught.value.exit_code == {signal.SIGINT: 130, signal.SIGTERM: 143}[signum]


def test_a_write_is_finished_first() -> None:
    steps = []
    with pytest.raises(Interrupted) as caught, interruptible():
        with uninterrupted():
            with uninterrupted():
                _send(signal.SIGINT)
                steps.append("inner")
            steps.append("outer")
        steps.append("after")
    assert steps == ["inner", "outer"]
    assert caught.value.signum == signal.SIGINT


def test_a_second_signal_ends_what_may_hang() -> None:
    steps = []
    with pytest.raises(Interrupted), interruptible(), uninterrupted(patient=False):
        _send(signal.SIGINT)
        steps.append("after the first")
        with contextlib.suppress(Interrupted), uninterrupted():
            _send(signal.SIGINT)
            steps.append("a write within")
        _send(signal.SIGINT)
        steps.append("after the third")
    assert steps == ["after the first", "a write within"]


def test_a_signal_that_got_lost_acts_at_the_next_write() -> None:
    wrote = False
    with pytest.raises(Interrupted), interruptible():
        with contextlib.suppress(BaseException):  # as Python does with what a __del__ raises
            _send(signal.SIGTERM)
        with uninterrupted():
            wrote = True
        pytest.fail("went on")
    assert wrote


def test_what_was_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interruptible():
        _send(signal.SIGINT)
    assert signal.signal(signal.SIGINT, signal.default_int_handler) is signal.SIG_IGN


@BOTH
def test_a_forked_child_has_the_former_handlers(signum: int) -> None:
    with interruptible():
        child = os.fork()
        if child == 0:
            try:
                _send(signum)
            except KeyboardInterrupt:  # as the loop of a data loader's worker expects it
                os._exit(10)
            except BaseException:
                os._exit(11)
            os._exit(12)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == {signal.SIGINT: 10, signal.SIGTERM: -signal.SIGTERM}[signum]


def test_a_journal_keeps_whole_lines(tmp_path) -> None:
    class Signalling(io.FileIO):
        def write(self, line: bytes) -> int:
            if b'"b"' in line:
                _send(signal.SIGTERM)
            return super().write(line)

    path = tmp_path / "journal.jsonl"
    with pytest.raises(Interrupted), interruptible(), Journal.create(path, {}) as journal:
        journal._file = journal._held.enter_context(Signalling(path, "ab"))
        for kind in "abc":
            journal.append({"kind": kind})
    assert [record["kind"] for record in read_journal(path)] == ["header", "a", "b"]
    assert path.read_bytes().endswith(b"\n")


def test_what_swallows_a_time_limit_was_not_in_time() -> None:
    start = time.monotonic()
    with pytest.raises(TimeLimitExceeded, match=r"0\.02 s"), time_limit(0.02):
        with contextlib.suppress(BaseException):
            time.sleep(30)
        assert time.monotonic() - start < 25
