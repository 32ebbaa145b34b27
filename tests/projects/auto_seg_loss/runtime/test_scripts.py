"""scripts.py: what a user can mend is one line, a bug keeps its traceback."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from auto_seg_loss.data import DatasetError
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.runtime.scripts import explain_user_errors, say_how_to_go_on
from rl.journal import JournalError


@pytest.fixture(autouse=True)
def handlers():
    """Those of pytest are put back; a script ends with its own."""
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.mark.parametrize("kind", [ConfigError, DatasetError, FileNotFoundError, JournalError])
def test_an_error_to_mend_is_one_line_and_status_2(kind, capsys):
    with pytest.raises(SystemExit) as stop, explain_user_errors():
        raise kind("a.png is missing")
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "error: a.png is missing\n")


def test_a_training_that_diverged_says_what_to_change(capsys):
    with pytest.raises(SystemExit), explain_user_errors():
        raise FloatingPointError("Loss became NaN at iteration=2!\nloss_dict = {}")
    expected = "error: Loss became NaN at iteration=2! Lower SOLVER.BASE_LR, or set "
    assert capsys.readouterr().err == expected + "SOLVER.CLIP_GRADIENTS.ENABLED True.\n"


def test_a_bug_passes_through():
    with pytest.raises(ValueError, match="a bug"), explain_user_errors():
        raise ValueError("a bug")


@pytest.mark.parametrize("signum, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_is_one_line_with_the_command_that_goes_on(
    signum, status, capsys, monkeypatch
):
    monkeypatch.setattr(sys, "orig_argv", [".venv/bin/python", "-u", "search_net.py"])
    monkeypatch.setattr(sys, "argv", ["search_net.py", "--config-file", "a b.yaml", "SEED", "1"])
    with pytest.raises(SystemExit) as stop, explain_user_errors(), say_how_to_go_on("--resume"):
        os.kill(os.getpid(), signum)
    assert stop.value.code == status
    assert capsys.readouterr().err == (
        "interrupted; anything saved is kept; continue with: "
        ".venv/bin/python search_net.py --resume --config-file 'a b.yaml' SEED 1\n"
    )
