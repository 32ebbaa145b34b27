"""A small search as a process of its own: what test_search.py kills. `python search_script.py DIR`.

With a number of kills N it forks itself: N children are each killed by SIGKILL after a random time,
then one runs to the end. Prints how many kills struck a search before it had finished, and how many
different lengths of journal they left behind.
"""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np

from rl.agents import PPO
from rl.executors import SerialExecutor
from rl.journal import Journal
from rl.proxies import Quadratic
from rl.proxy import ProxyResult
from rl.search import SearchSettings, run_search

SETTINGS = SearchSettings(rounds=4, samples=5, seed=3, top_k=2, reseeds=2)


class _Slow(Quadratic):
    def evaluate(self, theta: np.ndarray, seed: int, budget: float = 1.0) -> ProxyResult:
        time.sleep(0.004)
        return super().evaluate(theta, seed, budget)


def search(directory: Path) -> None:
    task = _Slow([0.8, 0.3, 0.6], noise=0.02, fails=lambda theta: bool(theta[0] > 0.85))
    agent = PPO(np.array([0.5, 0.5, 0.5]), seed=1, epochs=5)
    with Journal.resume(directory / "journal.jsonl", dataclasses.asdict(SETTINGS)) as journal:
        run_search(agent, SerialExecutor(task), journal, SETTINGS)


def killed_after(directory: Path, seconds: float) -> bool:
    """Run the search in a child and kill it; whether the kill came before its end."""
    child = os.fork()
    if child == 0:
        search(directory)
        os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def lines(directory: Path) -> int:
    journal = directory / "journal.jsonl"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


if __name__ == "__main__":
    home, kills, generator = Path(sys.argv[1]), int(sys.argv[2]), random.Random(0)
    # torch loads its optimisers at the first use: without this every child would die loading.
    PPO(np.array([0.5]), seed=0).tell(np.array([[0.1], [0.2]]), np.array([0.0, 1.0]))
    struck, lengths = 0, set()
    for index in range(kills):  # ever later: a slow machine must get somewhere, too
        struck += killed_after(home, generator.uniform(0.0, 0.02 + 0.004 * index))
        lengths.add(lines(home))
    print(struck, len(lengths))
    search(home)
