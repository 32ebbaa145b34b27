"""Progress on a terminal and in a log file."""

from __future__ import annotations

import io
import itertools
import os
import signal
from pathlib import Path

import pytest
from small_searches import cut, small_search

from rl.callbacks import Callback, ProgressBar
from rl.events import RoundEvent, SearchSettings
from rl.proxies import Quadratic
from rl.signals import Interrupted, interruptible

SETTINGS = SearchSettings(rounds=2, samples=3, top_k=1, reseeds=2)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _run(path: Path, *callbacks: Callback) -> None:
    task = Quadratic([0.9, 0.1, 0.5], noise=0.01)
    small_search(path, task, callbacks=callbacks, settings=SETTINGS)


def _lines(path: Path) -> list[str]:
    stream, ticks = io.StringIO(), itertools.count()
    _run(path, ProgressBar(stream, clock=lambda: 60.0 * next(ticks)))
    return stream.getvalue().splitlines()


def test_a_line_a_round_where_there_is_no_terminal(tmp_path: Path) -> None:
    first, second, final, *report = _lines(tmp_path / "journal.jsonl")
    # 60 s for 3 of 12 evaluations, then 120 s for 6 of 12: 9 and 6 are left.
    assert first.startswith("round 1/2  best 0.")
    assert first.endswith("03:00 left")
    assert "mean 0." in second
    assert second.endswith("02:00 left")
    assert final == "final: 3 finalists  03:00 left"
    assert report[0].startswith("* ")
    assert "identity" in report[-1]


def test_replayed_evaluations_cost_no_time(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    _lines(path)
    cut(path, 6)  # a round, and 1
    resumed, first, second, *_ = _lines(path)
    assert resumed == "resuming: 4 evaluations are already in the journal"
    assert first.endswith("time left unknown")
    assert second.endswith("03:00 left")  # 60 s for the 2 new ones, 6 are left
    *_, final = [line for line in _lines(path) if line.startswith("final")]
    assert final.endswith("0 s left")


def test_a_bar_on_a_terminal(tmp_path: Path) -> None:
    stream = _Terminal()
    _run(tmp_path / "journal.jsonl", ProgressBar(stream))
    shown = stream.getvalue()
    assert "search:" in shown
    assert "best 0." in shown
    assert "12/12" in shown
    assert "identity" in shown.splitlines()[-1]


class _Asked(Callback):
    """Is asked to stop in the midst of its work."""

    finished = False

    def on_round(self, event: RoundEvent) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        self.finished = True


def test_a_signal_waits_for_the_callbacks(tmp_path: Path) -> None:
    asked = [_Asked(), _Asked()]
    with pytest.raises(Interrupted), interruptible():
        _run(tmp_path / "journal.jsonl", *asked)
    assert all(callback.finished for callback in asked)
