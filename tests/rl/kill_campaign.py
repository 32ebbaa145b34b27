"""Small searches stopped at random instants, and resumed until they are done.

    python tests/rl/kill_campaign.py DIRECTORY [--kills 50] [--seed 0] [--cases ppo,tpe]

Every start of a search is a fork of this process, which has imported everything already. Prints one
JSON object: for SIGKILL, SIGINT and SIGTERM how many struck, how many searches they struck, and
after how many of these the journal was that of an uninterrupted search.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import importlib.util
import io
import itertools
import json
import logging
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch

from rl.agents import agent_class
from rl.executors import SerialExecutor
from rl.journal import Journal
from rl.proxies import Quadratic
from rl.proxy import ProxyResult
from rl.search import SearchSettings, run_search
from rl.signals import STOPPING, Interrupted, interruptible

SETTINGS = SearchSettings(rounds=4, samples=5, seed=3, top_k=2, reseeds=2)
# Agents, and PPO whose candidates are stopped at rungs.
CASES = ["ppo", "rungs", "cma_es", "random"]
if importlib.util.find_spec("optuna") is not None:
    CASES += ["tpe", "gp"]


class _Slow(Quadratic):
    def evaluate(self, theta: np.ndarray, seed: int, budget: float = 1.0) -> ProxyResult:
        time.sleep(0.004 * budget)
        if theta[1] > 0.7:
            raise ArithmeticError(f"theta[1] is {theta[1]}")
        return super().evaluate(theta, seed, budget)


class _InHalves(io.FileIO):
    """Takes its time in the midst of each line."""

    def write(self, line: bytes) -> int:
        for half in (line[: len(line) // 2], line[len(line) // 2 :]):
            super().write(half)
            time.sleep(0.001)
        return len(line)


def search(case: str, directory: Path) -> None:
    """Begin the search, or go on with it."""
    settings = dataclasses.replace(SETTINGS, rungs=2) if case == "rungs" else SETTINGS
    task = _Slow([0.8, 0.3, 0.6], noise=0.02, fails=lambda theta: bool(theta[0] > 0.85))
    make = agent_class("ppo" if case == "rungs" else case)
    agent = make(np.array([0.5, 0.5, 0.5]), seed=1, rounds=settings.rounds)
    path, executor = directory / "journal.jsonl", SerialExecutor(task, max_retries=1)
    with Journal.resume(path, dataclasses.asdict(settings)) as journal:
        journal._file = journal._held.enter_context(_InHalves(path, "ab"))
        run_search(agent, executor, journal, settings, max_lost=1.0)


def child(case: str, directory: Path) -> int:
    """Start the search in a process of its own, as a script does; its id."""
    # Until the handlers are there: while it starts, a script has nothing to write or to resume.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    if pid := os.fork():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        return pid
    status = 1
    try:
        with interruptible():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
            search(case, directory)
            signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # what comes later comes too late
        status = 0
    except Interrupted as stop:
        status = stop.exit_code
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        os._exit(status)


def ended(pid: int) -> int:
    """Wait for the child; its exit status, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class Campaign:
    """Searches of all cases, each with its uninterrupted twin and the time that this one took."""

    def __init__(self, home: Path, seed: int, cases: list[str]) -> None:
        self.home, self.random, self.cases = home, random.Random(seed), cases
        self.home.mkdir(parents=True, exist_ok=True)
        self.whole: dict[str, bytes] = {}
        self.seconds: dict[str, float] = {}
        for case in cases:
            search(case, self.new())  # also loads what libraries load at their first use
            directory, start = self.new(), time.monotonic()
            assert ended(child(case, directory)) == 0
            self.seconds[case] = time.monotonic() - start
            self.whole[case] = (directory / "journal.jsonl").read_bytes()

    def new(self) -> Path:
        """A directory for a search."""
        directory = self.home / str(sum(1 for _ in self.home.iterdir()))
        directory.mkdir()
        return directory

    def strike(self, signum: int, least: int) -> dict[str, int]:
        """Start, strike and resume searches of all cases in turn, until so many signals struck.

        Then the last one is left to end. A search that is done may be resumed, too.
        """
        struck = torn = searches = identical = 0
        for case in itertools.cycle(self.cases):
            if struck >= least:
                break
            directory = self.new()
            path = directory / "journal.jsonl"
            while struck < least and self._struck(case, directory, signum):
                struck += 1
                # A file that is still empty has no line that could be torn.
                torn += path.exists() and path.read_bytes()[-1:] not in (b"", b"\n")
            assert ended(child(case, directory)) == 0
            identical += path.read_bytes() == self.whole[case]
            searches += 1
        return {"struck": struck, "torn": torn, "searches": searches, "identical": identical}

    def _struck(self, case: str, directory: Path, signum: int) -> bool:
        """Start or resume the search and send the signal; False: it was done before."""
        pid = child(case, directory)
        # Early instants are more likely, or few kills would come in a start's first milliseconds.
        time.sleep(self.random.random() ** 3 * self.seconds[case])
        os.kill(pid, signum)
        status = ended(pid)
        assert status in (0, -signum if signum == signal.SIGKILL else 128 + signum)
        return status != 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", default=",".join(CASES), metavar="NAME,…")
    arguments = parser.parse_args()
    # A job in the background ignores Ctrl-C, and its children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    logging.disable(logging.WARNING)  # of every candidate that fails, again and again
    torch.set_num_threads(1)
    gc.freeze()  # a collection in a fork would copy every page
    campaign = Campaign(arguments.directory, arguments.seed, arguments.cases.split(","))
    signals = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
    print(json.dumps({one.name: campaign.strike(one, arguments.kills) for one in signals}))


if __name__ == "__main__":
    main()
