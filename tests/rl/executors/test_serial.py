"""The serial executor: in order, lazily, and hands exceptions on."""

from __future__ import annotations

import numpy as np
import pytest

from rl.executors import Candidate, SerialExecutor
from rl.proxy import ProxyResult


class _Recorder:
    def __init__(self) -> None:
        self.seeds: list[int] = []

    def evaluate(self, theta: np.ndarray, seed: int, budget: float = 1.0) -> ProxyResult:
        self.seeds.append(seed)
        if theta[0] > 0.9:
            raise KeyError("a bug")
        theta[:] = 0.0  # a rude task must not change the candidate
        return ProxyResult(0.5)


def _candidates(*values: float) -> list[Candidate]:
    return [Candidate(f"c{i}", np.array([value]), i) for i, value in enumerate(values)]


def test_in_order_and_lazily() -> None:
    task = _Recorder()
    results = SerialExecutor(task).run(_candidates(0.1, 0.2))
    assert task.seeds == []
    candidate, _ = next(results)
    assert (candidate.id, candidate.theta[0], task.seeds) == ("c0", 0.1, [0])
    assert next(results)[0].id == "c1"


def test_exceptions_pass_through() -> None:
    results = SerialExecutor(_Recorder()).run(_candidates(0.95))
    with pytest.raises(KeyError, match="a bug"):
        next(results)
