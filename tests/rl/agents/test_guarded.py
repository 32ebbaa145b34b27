"""Agents that misbehave: what they do to arrays stays with them, what they give is checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rl.executors import SerialExecutor
from rl.journal import Journal
from rl.proxies import Quadratic
from rl.search import SearchSettings, run_search

SETTINGS = SearchSettings(rounds=3, samples=4, top_k=2, reseeds=2)


class _Agent:
    """Uniform; a well-behaved one."""

    def __init__(self) -> None:
        self.generator = np.random.default_rng(0)
        self.mean, self.spread = np.full(2, 0.5), np.full(2, 0.3)

    def ask(self, n: int) -> np.ndarray:
        return self.generator.random((n, 2))

    def tell(self, thetas: np.ndarray, scores: np.ndarray) -> None:
        self.mean = thetas[scores.argmax()].copy()


class _Reckless(_Agent):
    """The same, with one buffer for all that it gives, and no respect for what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = np.empty((4, 2))

    def ask(self, n: int) -> np.ndarray:
        self.buffer[:] = super().ask(n)
        return self.buffer

    def tell(self, thetas: np.ndarray, scores: np.ndarray) -> None:
        self.mean[:] = thetas[scores.argmax()]
        thetas[:] = scores[:] = self.buffer[:] = -1.0


def _searched(agent: Any, path: Path) -> tuple[bytes, Any]:
    with Journal.create(path, {}) as journal:
        result = run_search(agent, SerialExecutor(Quadratic([0.8, 0.3])), journal, SETTINGS)
    return path.read_bytes(), result


def test_a_reckless_agent_spoils_nothing(tmp_path: Path) -> None:
    journal, result = _searched(_Agent(), tmp_path / "a.jsonl")
    reckless, same = _searched(_Reckless(), tmp_path / "b.jsonl")
    assert reckless == journal
    assert same.selection.report() == result.selection.report()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mean", np.array([0.5, np.nan])),
        ("spread", 0.1),
        ("ask", lambda n: np.zeros((n, 3))),
        ("ask", lambda n: np.array([[0.1, 0.2]] * 3 + [[7, 0]])),
    ],
)
def test_what_is_not_as_promised_is_refused_by_name(
    name: str, value: object, tmp_path: Path
) -> None:
    agent = _Agent()
    setattr(agent, name, value)
    with (
        Journal.create(tmp_path / "journal.jsonl", {}) as journal,
        pytest.raises(ValueError, match=rf"_Agent\.{name}"),
    ):
        executor = SerialExecutor(Quadratic([0.8, 0.3]))
        run_search(agent, executor, journal, SETTINGS, identity=np.full(2, 0.5))
