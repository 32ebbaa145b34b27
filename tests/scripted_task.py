"""A task that misbehaves as it is told, for the tests of executors.

A module of its own, which imports little: every worker imports it. Acts are named by a candidate's
seed; what an act returns is the candidate's result, None stands for OK.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from rl.executors import Candidate, Executor
from rl.proxies import Quadratic
from rl.proxy import ProxyResult, ProxyTask

OK = ProxyResult(0.5)
Act = Callable[["Scripted"], "ProxyResult | None"]


class Damaged(ValueError):
    pass


@dataclass(frozen=True)
class Scripted:
    """Does to a candidate what its seed says.

    Args:
        home: a folder in which evaluations leave marks, since they share nothing else.
        otherwise: evaluates candidates whose seed names no act.
    """

    home: Path
    otherwise: ProxyTask | None = None
    data_errors: ClassVar[tuple[type[Exception], ...]] = (Damaged,)

    def __call__(self) -> Scripted:
        return self

    def evaluate(self, theta: np.ndarray, seed: int, budget: float = 1.0) -> ProxyResult:
        if seed >= len(ACTS):
            assert self.otherwise is not None
            return self.otherwise.evaluate(theta, seed, budget)
        theta[:] = 0.0  # it may
        act = ACTS[seed]
        mark(self.home / act.__name__)
        return act(self) or OK

    def marks(self, act: Act) -> int:
        """How often that act began."""
        path = self.home / act.__name__
        return path.stat().st_size if path.exists() else 0


@dataclass(frozen=True)
class Uneven:
    """A noisy quadratic that fails for some thetas and raises for others.

    ``deadly`` is a folder: there, small thetas take longer, and the first of some kills its worker.
    """

    deadly: Path | None = None

    def evaluate(self, theta: np.ndarray, seed: int, budget: float = 1.0) -> ProxyResult:
        if self.deadly is not None:
            time.sleep(0.1 * (1.0 - theta[0]))
            if 0.5 < theta[1] < 0.6 and mark(self.deadly / "died") == 1:
                os.kill(os.getpid(), signal.SIGKILL)
        if theta[2] > 0.7:
            raise ArithmeticError(f"theta[2] is {theta[2]}")
        fails = bool(theta[0] > 0.75)
        quadratic = Quadratic([0.8, 0.3, 0.6], noise=0.02, fails=lambda theta: fails)
        return quadratic.evaluate(theta, seed, budget)


def mark(path: Path) -> int:
    """Make the file one byte longer; its length."""
    with path.open("a") as file:
        file.write("|")
    return path.stat().st_size


def candidates(acts: Iterable[Act]) -> list[Candidate]:
    """One for each act: c0, c1, …"""
    return [Candidate(f"c{i}", np.array([0.5]), ACTS.index(act)) for i, act in enumerate(acts)]


def results(executor: Executor, *acts: Act) -> list[ProxyResult]:
    """What they come to."""
    return list(executor.run(candidates(acts)))


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """So many threads of torch in here."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    yield
    torch.set_num_threads(before)


def is_fine(task: Scripted) -> None:
    pass


def always_fails(task: Scripted) -> None:
    raise ValueError("no good\nat all")


def has_bad_data(task: Scripted) -> None:
    raise Damaged("images/7.png is no image")


def always_dies(task: Scripted) -> None:
    os._exit(1)


def cannot_be_pickled(task: Scripted) -> ProxyResult:
    return ProxyResult(0.5, {"lock": threading.Lock()})  # type: ignore[dict-item]


def hangs(task: Scripted) -> None:
    time.sleep(600)  # longer than a test may take


def never_returns(task: Scripted) -> None:
    sum(range(10**14))  # in C, where no signal handler runs


def is_slow(task: Scripted) -> ProxyResult:
    time.sleep(0.5)
    return notes_the_end(task)


def notes_the_end(task: Scripted) -> ProxyResult:
    return ProxyResult(0.5, {"end": time.monotonic()})


def counts_threads(task: Scripted) -> ProxyResult:
    return ProxyResult(0.5, {"threads": float(torch.get_num_threads())})


def names_its_process(task: Scripted) -> ProxyResult:
    return ProxyResult(0.5, {"pid": float(os.getpid())})


# Their place is the seed that names them.
ACTS: list[Act] = [
    is_fine,
    always_fails,
    has_bad_data,
    always_dies,
    cannot_be_pickled,
    hangs,
    never_returns,
    is_slow,
    notes_the_end,
    counts_threads,
    names_its_process,
]
