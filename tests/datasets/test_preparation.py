"""datasets/preparation.py: collected problems, an orderly end, no torch."""

from __future__ import annotations

import argparse
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import preparation
import pytest
from preparation import Job, Report, make_labels

DATASETS = Path(preparation.__file__).parent


def test_problems_of_files_are_collected_and_counted(tmp_path):
    report = Report()
    zeros = partial(np.zeros, (2, 2), np.uint8)
    jobs = [Job(tmp_path / "a", sys.exit, 2)] * 13 + [Job(tmp_path, zeros, 2, tmp_path / "b.png")]
    make_labels("all", jobs, 2, report)
    assert report.lines == ["all: 1 written, 0 right already"]
    assert report.problems[:2] == [f"{tmp_path / 'a'}: SystemExit"] * 2
    assert len(report.problems) == 11 and "3 more" in report.problems[-1]
    report.miss("images without labels", range(12))
    assert "0, 1, 10, 11, 2, 3, 4, 5, 6, 7 and 2 more" in report.problems[-1]


def test_ctrl_c_says_how_to_go_on(capsys):
    def interrupted(options):
        raise KeyboardInterrupt

    assert preparation.run_script("prepare_x", interrupted, argparse.Namespace()) == 130
    assert "run it again" in capsys.readouterr().err


@pytest.mark.parametrize("script", sorted(path.stem for path in DATASETS.glob("prepare_*.py")))
def test_scripts_start_without_torch(script, tmp_path):
    """A missing set is one line, as a user reads it."""
    blocked = (
        "import runpy, sys; sys.modules['torch'] = None; del sys.argv[0]; "
        f"sys.path.insert(0, {str(DATASETS)!r}); runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-c", blocked, str(DATASETS / f"{script}.py")]
    done = subprocess.run([*command, "--root", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith(f"{script}: {tmp_path}")
    assert done.stderr.count("\n") == 1
