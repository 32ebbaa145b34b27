"""The loop that sets agents against each other, on proxies made here."""

from __future__ import annotations

import numpy as np

from benchmarks.agents.contest import Case, Plan, compare, run_agent
from benchmarks.agents.variants import parse_variants
from rl.agents import RandomSearch
from rl.proxies import Quadratic
from rl.proxy import ProxyResult, failed


def test_a_run_keeps_worth_and_look_apart() -> None:
    task = Quadratic(np.full(3, 0.5), noise=0.1, fails=lambda theta: bool(theta[0] < 0.3))
    case = Case("noisy", task, np.full(3, 0.4))
    run = run_agent(RandomSearch(case.identity, seed=0), case, Plan(40, 10, 1), seed=0)
    thetas = RandomSearch(case.identity, seed=0).ask(40)
    bad = thetas[:, 0] < 0.3
    assert 0 < bad.sum() < 40
    expected = np.where(bad, 0.0, 1.0 - np.mean((thetas - 0.5) ** 2, axis=1))
    np.testing.assert_allclose(run.values, expected)
    np.testing.assert_array_equal(run.seen[bad], 0.0)
    assert np.all(run.seen[~bad] != run.values[~bad])
    assert run.mean_values.shape == (4,)


class _Bare:
    """A proxy that knows neither its optimum nor its worth without noise."""

    def evaluate(self, theta: np.ndarray, seed: int, budget: float = 1.0) -> ProxyResult:
        return failed("too low") if theta[0] < 0.1 else ProxyResult(float(theta[0]))


def test_a_proxy_of_one_s_own_needs_only_evaluate() -> None:
    case = Case("own", _Bare(), np.array([0.5, 0.5]))
    (comparison,) = compare([case], parse_variants("random,cma_es"), Plan(12, 6, 2))
    assert comparison.reference == "random"
    assert comparison.optimum == max(
        run.values.max() for runs in comparison.runs.values() for run in runs
    )
    assert comparison.start == 0.5


def test_with_pairing_a_round_holds_the_identity_and_what_counts_is_the_gain() -> None:
    class Lucky(Quadratic):
        def evaluate(self, theta: np.ndarray, seed: int, budget: float = 1.0) -> ProxyResult:
            return ProxyResult(0.5 * self.value(theta) + 0.5 * np.random.default_rng(seed).random())

    case = Case("lucky", Lucky([0.5, 0.5]), np.array([0.2, 0.2]))
    run = run_agent(RandomSearch(case.identity, seed=0), case, Plan(12, 4, 1, True), seed=0)
    np.testing.assert_allclose(run.values[::4], 0.91)  # 1 - 0.3^2
    np.testing.assert_allclose(run.seen, 0.5 * (run.values - 0.91), atol=1e-12)
    assert run.mean_values[-1] == run.values.max()
