"""datasets/preparation.py: collected problems, progress, an orderly end."""

from __future__ import annotations

import argparse
import fcntl
import os
import struct
import subprocess
import sys
import termios
from functools import partial
from pathlib import Path

import numpy as np
import preparation
import pytest
from preparation import Job, PreparationError, Report, make_labels
from trees import make_ade20k

SCRIPT = Path(preparation.__file__).with_name("prepare_ade20k.py")


def test_a_worker_that_dies_is_said(tmp_path):
    jobs = [Job(tmp_path, partial(os._exit, 1), 2)] * 2
    with pytest.raises(PreparationError, match=r"a worker process died.* with fewer --workers"):
        make_labels("all", jobs, 2, Report())


LONG = """
import time
from functools import partial
from pathlib import Path

from preparation import Job, Report, make_labels

if __name__ == "__main__":
    makes = [partial(print, "at work", flush=True), *[partial(time.sleep, 600)] * 2]
    make_labels("all", [Job(Path("x"), make, 2) for make in makes], 2, Report())
"""


def test_workers_end_with_a_script_that_is_killed(tmp_path):
    (tmp_path / "long.py").write_text(LONG)
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "long.py")],
        env={**os.environ, "PYTHONPATH": str(SCRIPT.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    process.kill()
    process.communicate()  # until the last of its workers has closed the pipe


def test_a_library_that_leaves_is_a_problem_of_one_file(tmp_path):
    report = Report()
    zeros = partial(np.zeros, (2, 2), np.uint8)
    jobs = [Job(tmp_path / "a", sys.exit, 2), Job(tmp_path / "b", zeros, 2, tmp_path / "b.png")]
    make_labels("all", jobs, 1, report)
    assert report.lines == ["all: 1 written, 0 right already"]
    assert report.problems == [f"{tmp_path / 'a'}: SystemExit"]


def test_many_problems_are_counted(tmp_path):
    report = Report()
    report.miss("images without labels", range(12))
    assert report.problems == [
        "12 images without labels: 0, 1, 10, 11, 2, 3, 4, 5, 6, 7 and 2 more"
    ]
    make_labels("all", [Job(tmp_path, sys.exit, 2)] * 13, 1, report)
    assert len(report.problems) == 12
    assert report.problems[-1] == "all: 3 more files like these"


def test_ctrl_c_says_how_to_go_on(capsys):
    def interrupted(options):
        raise KeyboardInterrupt

    assert preparation.run_script("prepare_x", interrupted, argparse.Namespace()) == 130
    assert "prepare_x: interrupted; what is finished is kept" in capsys.readouterr().err


@pytest.mark.parametrize("workers", ["0", "-1", "two"])
def test_unfit_workers(workers, capsys):
    parser = preparation.script_parser("", "x")
    with pytest.raises(SystemExit):
        parser.parse_args(["--workers", workers])
    assert "--workers" in capsys.readouterr().err


def test_a_terminal_shows_progress(tmp_path):
    make_ade20k(tmp_path)
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))  # rows, columns
    command = [sys.executable, str(SCRIPT), "--root", str(tmp_path), "--partial", "--workers", "1"]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=theirs, check=True)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    os.close(theirs)
    assert "training: 100%" in shown and "2/2" in shown
