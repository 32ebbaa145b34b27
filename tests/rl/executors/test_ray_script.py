"""Ray started by a script in another directory: it finds the modules, and dies with the script."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_searches import Told, small_search

pytest.importorskip("ray")

from rl.proxies import Quadratic

ROOT = Path(__file__).parents[3]
TASK = """
import os, pathlib, time
from rl.proxies import Quadratic

class Slow(Quadratic):
    def evaluate(self, theta, seed, budget=1.0):
        pathlib.Path(__file__).with_name(f"worker-{os.getpid()}").touch()
        time.sleep(0.05)
        return super().evaluate(theta, seed, budget)
"""
SCRIPT = """
import os, pathlib, signal, sys
from my_task import Slow
from rl.executors import make_executor
from small_searches import Told, small_search

journal = pathlib.Path(sys.argv[1])

class Mine(Slow):
    def __init__(self):
        super().__init__([0.8, 0.3, 0.6], noise=0.02)

def stop(signum, frame):
    journal.with_name("handled").touch()
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)  # Ray's own is not to take its place
    with make_executor("ray", Mine, workers=1) as executor:
        small_search(journal, agent=Told(), executor=executor)
"""


def _start(home: Path) -> subprocess.Popen[str]:
    scripts, elsewhere = home / "scripts", home / "elsewhere"
    scripts.mkdir()
    elsewhere.mkdir()
    (scripts / "my_task.py").write_text(TASK)
    (scripts / "my_search.py").write_text(SCRIPT)
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    environment.pop("RAY_ADDRESS", None)
    return subprocess.Popen(
        [sys.executable, "../scripts/my_search.py", str(home / "journal.jsonl")],
        cwd=elsewhere,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _serial(path: Path) -> bytes:
    """Begin or end that search here."""
    small_search(path, Quadratic([0.8, 0.3, 0.6], noise=0.02), Told())
    return path.read_bytes()


def test_a_killed_driver_leaves_nothing_behind_but_its_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    script = _start(tmp_path)
    end = time.monotonic() + 200
    while not path.exists() or path.read_bytes().count(b"\n") < 5:
        assert script.poll() is None, script.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.01)
    (mark,) = (tmp_path / "scripts").glob("worker-*")
    worker = Path("/proc") / mark.name.removeprefix("worker-")
    assert worker.exists()
    script.send_signal(signal.SIGTERM)
    script.communicate()
    assert (script.returncode, (tmp_path / "handled").exists()) == (-signal.SIGKILL, True)
    before = path.read_bytes()
    assert _serial(path) == _serial(tmp_path / "serial.jsonl")
    assert len(before) < len(path.read_bytes())
    while worker.exists():  # it would still hold its GPU
        assert time.monotonic() < end
        time.sleep(0.05)
