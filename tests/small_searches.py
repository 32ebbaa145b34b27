"""Small searches for the tests of the search loop: a task that counts, an agent that remembers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Container
from pathlib import Path

import numpy as np

from rl.agents import PPO, RandomSearch
from rl.callbacks import Callback
from rl.events import SearchStart
from rl.executors import SerialExecutor
from rl.journal import Journal
from rl.proxies import Quadratic
from rl.proxy import ProxyResult
from rl.search import SearchResult, SearchSettings, run_search

IDENTITY = np.array([0.5, 0.5, 0.5])
SETTINGS = SearchSettings(rounds=3, samples=4, seed=3, top_k=2, reseeds=2)
HEADER = dataclasses.asdict(SETTINGS)


class Counting:
    """A noisy quadratic with failures and an unmeasurable score; counts its evaluations.

    The evaluations that ``breaking`` numbers, from 0, raise.
    """

    def __init__(self, crash_at: int | None = None, breaking: Container[int] = ()) -> None:
        self.breaking = breaking
        self.task = Quadratic([0.8, 0.3, 0.6], noise=0.02, fails=lambda theta: theta[0] > 0.8)
        self.asked: list[tuple[tuple[float, ...], int]] = []
        self.crash_at = crash_at

    def evaluate(self, theta: np.ndarray, seed: int, budget: float = 1.0) -> ProxyResult:
        if len(self.asked) == self.crash_at:
            raise KeyboardInterrupt("stop")  # a mere Exception would be tried again
        self.asked.append((tuple(theta), seed))
        if len(self.asked) - 1 in self.breaking:
            raise MemoryError("no memory")
        result = self.task.evaluate(theta, seed, budget)
        return dataclasses.replace(result, scores={**result.scores, "BF1": math.nan})


class Log(Callback):
    """Keeps the events."""

    def __init__(self) -> None:
        self.events: list[object] = []
        self.closed = 0

    def on_start(self, event: SearchStart) -> None:
        self.events.append(event)

    on_candidate = on_round = on_selection = on_finish = on_start

    def close(self) -> None:
        self.closed += 1

    def of(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]


def small_search(path: Path, task=None, agent=None, callbacks=(), **options) -> SearchResult:
    """Begin or go on with the search of SETTINGS, by PPO on `Counting` unless told otherwise."""
    agent = PPO(IDENTITY, seed=1, epochs=5) if agent is None else agent
    with Journal.resume(path, HEADER) as journal:
        executor = SerialExecutor(Counting() if task is None else task, max_retries=0)
        return run_search(agent, executor, journal, SETTINGS, callbacks, **options)


def assert_same(one: SearchResult, other: SearchResult) -> None:
    """Equal to the last bit."""
    np.testing.assert_array_equal(one.theta, other.theta)
    np.testing.assert_array_equal(one.mean, other.mean)
    assert one.reward == other.reward
    assert one.selection.report() == other.selection.report()
    assert (one.evaluations, one.failures) == (other.evaluations, other.failures)
    assert one.lost == other.lost


class Told(RandomSearch):
    """Keeps what it was told."""

    def __init__(self, mean: np.ndarray = IDENTITY, seed: int = 1) -> None:
        super().__init__(mean, seed=seed)
        self.told: list[tuple[np.ndarray, np.ndarray]] = []

    def tell(self, thetas: np.ndarray, scores: np.ndarray) -> None:
        self.told.append((thetas, scores))
        super().tell(thetas, scores)
