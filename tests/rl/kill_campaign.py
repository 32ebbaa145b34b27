"""Small searches stopped at random instants, and resumed until they are done.

    python tests/rl/kill_campaign.py DIRECTORY [--kills 50] [--seed 0]

Every start of a search is a fork of this process, which has imported everything already. Prints one
JSON object: how many SIGKILLs struck where, after how many of them journals were the same as those
of uninterrupted searches, and what became of SIGINT and SIGTERM.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import importlib.util
import itertools
import json
import logging
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

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
CASES = {
    "ppo": ("ppo", SETTINGS),
    "ppo, stopped at rungs": ("ppo", dataclasses.replace(SETTINGS, rungs=2)),
    "cma_es": ("cma_es", SETTINGS),
    "tpe": ("tpe", SETTINGS),
    "gp": ("gp", SETTINGS),
    "random": ("random", SETTINGS),
}
if importlib.util.find_spec("optuna") is None:
    del CASES["tpe"], CASES["gp"]
PLACES = ("header", "write", "round", "between rounds", "selection")
"""Where kills must have struck; "write" is the midst of a line."""


class _Slow(Quadratic):
    def evaluate(self, theta: np.ndarray, seed: int, budget: float = 1.0) -> ProxyResult:
        time.sleep(0.004 * budget)
        if theta[1] > 0.7:
            raise ArithmeticError(f"theta[1] is {theta[1]}")
        return super().evaluate(theta, seed, budget)


class _InHalves:
    """A file that takes its time in the midst of each line."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def write(self, line: bytes) -> None:
        for half in (line[: len(line) // 2], line[len(line) // 2 :]):
            self.file.write(half)
            self.file.flush()
            time.sleep(0.001)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


class _SlowJournal(Journal):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._file: Any = _InHalves(self._file)


def search(case: str, directory: Path) -> None:
    """Begin the search, or go on with it."""
    name, settings = CASES[case]
    task = _Slow([0.8, 0.3, 0.6], noise=0.02, fails=lambda theta: bool(theta[0] > 0.85))
    agent = agent_class(name)(np.array([0.5, 0.5, 0.5]), seed=1, rounds=settings.rounds)
    header = dataclasses.asdict(settings)
    with (
        _SlowJournal.resume(directory / "journal.jsonl", header) as journal,
        SerialExecutor(task, max_retries=1) as executor,
    ):
        run_search(agent, executor, journal, settings, max_lost=1.0)


def as_script(case: str, directory: Path) -> int:
    """What a script does around a search; its exit status."""
    try:
        with interruptible():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
            search(case, directory)
    except Interrupted as stop:
        return stop.exit_code
    return 0


def child(case: str, directory: Path) -> int:
    """Start the search in a process of its own; its id."""
    # Until the handlers are there: while it starts, a script has nothing to write or to resume.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    pid = os.fork()
    if pid != 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        return pid
    status = 1
    try:
        status = as_script(case, directory)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        os._exit(status)


def ended(pid: int) -> int:
    """Wait for the child; its exit status, or minus the signal that killed it."""
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status == 1:
        raise RuntimeError("a search ended with an error, see above")
    return status


def interrupt(case: str, directory: Path, signum: int, seconds: float) -> int | None:
    """Start the search, send it the signal after so long; its exit status.

    None: it had ended before. A search that ends as if there had been no signal gives 0.
    """
    pid = child(case, directory)
    time.sleep(seconds)
    late = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    os.kill(pid, signum)
    status = ended(pid)
    return None if late else status


def journal_of(directory: Path) -> bytes:
    path = directory / "journal.jsonl"
    return path.read_bytes() if path.exists() else b""


def place(journal: bytes) -> str:
    """Where a search was that left this journal behind."""
    *lines, torn = journal.split(b"\n")
    if not lines:
        return "header"
    if torn:
        return "write"
    record = json.loads(lines[-1])
    if record["kind"] in ("header", "round"):
        return "between rounds"
    if record["kind"] == "result":
        return "end"
    return "selection" if record.get("id", "").startswith("s") else "round"


class Campaign:
    """Searches of all cases, each with its uninterrupted twin and the time that this one took."""

    def __init__(self, home: Path, seed: int) -> None:
        self.home, self.random = home, random.Random(seed)
        self.home.mkdir(parents=True, exist_ok=True)
        self.whole: dict[str, bytes] = {}
        self.seconds: dict[str, float] = {}
        for case in CASES:
            search(case, self.new())  # also loads what libraries load at their first use
            directory, start = self.new(), time.monotonic()
            assert ended(child(case, directory)) == 0
            self.seconds[case] = time.monotonic() - start
            self.whole[case] = journal_of(directory)

    def new(self) -> Path:
        """A directory for a search."""
        directory = self.home / str(sum(1 for _ in self.home.iterdir()))
        directory.mkdir()
        return directory

    def end(self, case: str, directory: Path) -> bool:
        """Resume to the end; whether the journal is that of the uninterrupted search."""
        assert ended(child(case, directory)) == 0
        return journal_of(directory) == self.whole[case]

    def kill(self, least: int) -> dict[str, Any]:
        """SIGKILL, until so many struck, and each place at least once."""
        places, kills, identical = Counter(), Counter(), Counter()
        for case in itertools.cycle(CASES):
            finished = sum(kills.values()) >= least and set(PLACES) <= set(places)
            if finished or sum(kills.values()) > 10 * least:
                break
            directory = self.new()
            while self.struck(case, directory):
                kills[case] += 1
                places[place(journal_of(directory))] += 1
            identical[case] += self.end(case, directory)
            identical[case, "searches"] += 1
        return {
            "kills": sum(kills.values()),
            "searches": sum(identical[case, "searches"] for case in CASES),
            "identical": sum(identical[case] for case in CASES),
            "kills by case": kills,
            "kills by place": places,
        }

    def struck(self, case: str, directory: Path) -> bool:
        """Start or resume the search and kill it; False: it was done before."""
        # Early instants are more likely, or few kills would come in a start's first milliseconds.
        seconds = self.random.random() ** 3 * self.seconds[case]
        return interrupt(case, directory, signal.SIGKILL, seconds) == -signal.SIGKILL

    def stop(self, signum: int, least: int) -> dict[str, Any]:
        """SIGINT or SIGTERM, until so many struck."""
        statuses: list[int] = []
        whole_lines = identical = searches = 0
        for case in itertools.cycle(CASES):
            if len(statuses) >= least:
                break
            directory = self.new()
            status = interrupt(case, directory, signum, self.random.random() * self.seconds[case])
            journal = journal_of(directory)
            # A signal that comes after the last record finds nothing to stop.
            if status is not None and not (status == 0 and journal == self.whole[case]):
                statuses.append(status)
                whole_lines += journal.endswith(b"\n") or not journal
            identical += self.end(case, directory)
            searches += 1
        return {
            "struck": len(statuses),
            "exit statuses": sorted(set(statuses)),
            "whole lines": whole_lines,
            "searches": searches,
            "identical": identical,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    # A job in the background ignores Ctrl-C, and its children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    logging.disable(logging.WARNING)  # of every candidate that fails, again and again
    torch.set_num_threads(1)
    gc.freeze()  # a collection in a fork would copy every page
    campaign = Campaign(arguments.directory, arguments.seed)
    print(
        json.dumps(
            {
                "SIGKILL": campaign.kill(arguments.kills),
                "SIGINT": campaign.stop(signal.SIGINT, 5),
                "SIGTERM": campaign.stop(signal.SIGTERM, 5),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
