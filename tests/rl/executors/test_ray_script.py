"""Ray started by a script in another directory: it finds the modules, and dies with the script."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ray")

from rl.agents import RandomSearch
from rl.executors import SerialExecutor
from rl.journal import Journal
from rl.proxies import Quadratic
from rl.search import SearchSettings, run_search

ROOT = Path(__file__).parents[3]
SETTINGS = SearchSettings(rounds=3, samples=4, seed=3, top_k=1, reseeds=2)

HELPER = """
import time
from rl.proxies import Quadratic

class Slow(Quadratic):
    def evaluate(self, theta, seed, budget=1.0):
        time.sleep(0.05)
        return super().evaluate(theta, seed, budget)
"""

SCRIPT = f"""
import os, pathlib, signal, sys
import numpy as np
from my_task import Slow
from rl.agents import RandomSearch
from rl.executors import make_executor
from rl.journal import Journal
from rl.search import SearchSettings, run_search

class Mine(Slow):
    def __init__(self):
        super().__init__([0.8, 0.3], noise=0.02)

def stop(signum, frame):
    pathlib.Path(sys.argv[1]).with_name("handled").touch()
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)  # Ray's own is not to take its place
    with Journal.create(sys.argv[1], {{}}) as journal:
        with make_executor("ray", Mine, workers=1) as executor:
            run_search(
                RandomSearch(np.array([0.5, 0.5]), seed=1), executor, journal, {SETTINGS!r}
            )
"""


def _start(home: Path) -> subprocess.Popen[str]:
    scripts = home / "scripts"
    scripts.mkdir()
    (scripts / "my_task.py").write_text(HELPER)
    (scripts / "my_search.py").write_text(SCRIPT)
    elsewhere = home / "elsewhere"
    elsewhere.mkdir()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
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
    task = Quadratic([0.8, 0.3], noise=0.02)
    with Journal.resume(path, {}) as journal, SerialExecutor(task) as executor:
        run_search(RandomSearch(np.array([0.5, 0.5]), seed=1), executor, journal, SETTINGS)
    return path.read_bytes()


def _workers(pid: int) -> set[int]:
    """Living actors below a process; they change their name when they work."""
    parents, actors = {}, set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            name = (folder / "cmdline").read_text()
        except OSError:  # it ended meanwhile
            continue
        parents[int(folder.name)] = int(fields[1])
        if name.startswith("ray::Worker"):
            actors.add(int(folder.name))
    return {actor for actor in actors if pid in _line(actor, parents)}


def _line(pid: int, parents: dict[int, int]) -> set[int]:
    ancestors = set()
    while pid in parents:
        pid = parents[pid]
        ancestors.add(pid)
    return ancestors


def _alive(pids: set[int]) -> bool:
    return any(Path(f"/proc/{pid}/cmdline").exists() for pid in pids)


def test_a_killed_driver_leaves_nothing_behind_but_its_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    script = _start(tmp_path)
    end = time.monotonic() + 200
    while not path.exists() or path.read_bytes().count(b"\n") < 5:
        assert script.poll() is None, script.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.01)
    workers = _workers(script.pid)
    script.send_signal(signal.SIGTERM)
    script.communicate()
    assert (script.returncode, (tmp_path / "handled").exists()) == (-signal.SIGKILL, True)
    before = path.read_bytes()
    assert _serial(path) == _serial(tmp_path / "serial.jsonl")
    assert len(before) < len(path.read_bytes())
    assert workers
    while _alive(workers):  # it would still hold its GPU
        assert time.monotonic() < end
        time.sleep(0.05)
