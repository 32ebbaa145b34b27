"""user_errors.py: what a user can mend is one line, a bug keeps its traceback."""

from __future__ import annotations

import pytest

from auto_seg_loss.data import DatasetError, LabelError, SplitError
from auto_seg_loss.preflight import ConfigError
from auto_seg_loss.user_errors import explain_user_errors
from autoseg_core import SpecError
from rl.journal import JournalError

MENDABLE = [
    ConfigError,
    DatasetError,
    FileNotFoundError,
    JournalError,
    LabelError,
    SpecError,
    SplitError,
]


@pytest.mark.parametrize("kind", MENDABLE)
def test_an_error_to_mend_is_one_line_and_status_2(kind, capsys):
    with pytest.raises(SystemExit) as stop, explain_user_errors():
        raise kind("a.png is missing")
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "error: a.png is missing\n")


@pytest.mark.parametrize("kind", [ValueError, TypeError, RuntimeError, KeyError])
def test_a_bug_passes_through(kind, capsys):
    with pytest.raises(kind), explain_user_errors():
        raise kind("a bug")
    assert capsys.readouterr().err == ""


def test_success_says_nothing(capsys):
    with explain_user_errors():
        pass
    assert capsys.readouterr().err == ""
