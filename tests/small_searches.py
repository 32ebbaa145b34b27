"""Small searches for the tests of the search loop: a task that counts, an agent that remembers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Container
from pathlib import Path

import numpy as np

from rl.agents import PPO, Agent, RandomSearch
from rl.callbacks import Callback
from rl.events import SearchStart
from rl.executors import SerialExecutor
from rl.journal import Journal
from rl.proxies import Quadratic
from rl.proxy import ProxyResult, ProxyTask, failed, lost
from rl.search import SearchResult, SearchSettings, run_search

IDENTITY = np.array([0.5, 0.5, 0.5])
SETTINGS = SearchSettings(rounds=3, samples=4, seed=3, top_k=2, reseeds=2)


class Counting:
    """A noisy quadratic with failures and an unmeasurable score; counts its evaluations.

    The evaluations that ``breaking`` numbers, from 0, raise ``error``.
    """

    data_errors = (UnicodeError,)

    def __init__(self, breaking: Container[int] = (), error: BaseException | None = None) -> None:
        self.breaking, self.error = breaking, error or MemoryError("no memory")
        self.task = Quadratic([0.8, 0.3, 0.6], noise=0.02, fails=lambda theta: theta[0] > 0.8)
        self.asked: list[tuple[tuple[float, ...], int]] = []

    def evaluate(self, theta: np.ndarray, seed: int, budget: float = 1.0) -> ProxyResult:
        self.asked.append((tuple(theta), seed))
        if len(self.asked) - 1 in self.breaking:
            raise self.error
        result = self.task.evaluate(theta, seed, budget)
        return dataclasses.replace(result, scores={**result.scores, "BF1": math.nan})


class Breaking(Quadratic):
    """Raises these, one at each of its next evaluations."""

    errors: tuple[Exception, ...] = ()

    def evaluate(self, theta: np.ndarray, seed: int, budget: float = 1.0) -> ProxyResult:
        if self.errors:
            error, *rest = self.errors
            self.errors = tuple(rest)
            raise error
        return super().evaluate(theta, seed, budget)


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


class Told(RandomSearch):
    """Keeps what it was told."""

    def __init__(self, mean: np.ndarray = IDENTITY, seed: int = 1) -> None:
        super().__init__(mean, seed=seed)
        self.told: list[tuple[np.ndarray, np.ndarray]] = []

    def tell(self, thetas: np.ndarray, scores: np.ndarray) -> None:
        self.told.append((thetas, scores))
        super().tell(thetas, scores)


def small_search(
    path: Path, task=None, agent=None, callbacks=(), settings=SETTINGS, executor=None, **options
) -> SearchResult:
    """Begin or go on with a search, by PPO on `Counting` unless told otherwise."""
    agent = agent or PPO(IDENTITY, seed=1, epochs=5)
    executor = executor or SerialExecutor(task or Counting(), max_retries=0)
    with Journal.resume(path, dataclasses.asdict(settings)) as journal:
        return run_search(agent, executor, journal, settings, callbacks, **options)


def cut(path: Path, lines: int) -> bytes:
    """Leave the first lines of a journal; returns all that it held."""
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:lines]))
    return whole


def assert_same(one: SearchResult, other: SearchResult) -> None:
    """Equal to the last bit."""
    np.testing.assert_array_equal(one.theta, other.theta)
    np.testing.assert_array_equal(one.mean, other.mean)
    assert one.selection.report() == other.selection.report()
    for name in ("reward", "evaluations", "failures", "lost"):
        assert getattr(one, name) == getattr(other, name)


def result_of(reward: float) -> ProxyResult:
    """A result with this reward; below 0: a failed one, NaN: a lost one."""
    if math.isnan(reward):
        return lost("no memory")
    return failed("NaN") if reward < 0 else ProxyResult(reward)


def play(agent: Agent, task: ProxyTask, rounds: int, samples: int = 32) -> float:
    """Ask, evaluate and tell; the best reward."""
    best = 0.0
    for index in range(rounds):
        thetas = agent.ask(samples)
        rewards = np.array([task.evaluate(theta, index).reward for theta in thetas])
        agent.tell(thetas, rewards)
        best = max(best, rewards.max())
    return best
