"""TPE and GP: what they propose first, their spread and scores, and their silence."""

from __future__ import annotations

import logging

import numpy as np
import pytest

optuna = pytest.importorskip("optuna")

from rl.agents.by_optuna import GP, TPE, StudyAgent, winsorized  # noqa: E402

IDENTITY = np.array([0.2, 0.8])
RISING = [0.5, 0.51, 0.52, 0.53, 0.54]


@pytest.fixture(params=[TPE, GP])
def agent(request: pytest.FixtureRequest) -> StudyAgent:
    made: StudyAgent = request.param(IDENTITY, seed=0)
    return made


@pytest.mark.parametrize("agent_class", [TPE, GP])
def test_some_proposals_must_be_uniform(agent_class: type[TPE] | type[GP]) -> None:
    with pytest.raises(ValueError, match="startup >= 1, got 0"):
        agent_class(IDENTITY, seed=0, startup=0)


def test_the_identity_comes_first(agent: StudyAgent) -> None:
    thetas = agent.ask(5)
    np.testing.assert_array_equal(thetas[0], IDENTITY)
    assert len(np.unique(thetas, axis=0)) == 5
    assert not np.any(np.all(agent.ask(5) == IDENTITY, axis=1))


def test_spread_is_that_of_the_best_tenth(agent: StudyAgent) -> None:
    thetas = agent.ask(25)
    scores = np.zeros(25)
    scores[[3, 9, 20]] = [0.9, 0.8, 0.7]
    np.testing.assert_allclose(agent.spread, np.sqrt(1 / 12))
    agent.tell(thetas, scores)
    np.testing.assert_allclose(agent.spread, thetas[[3, 9, 20]].std(axis=0))


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([*RISING, 0.0], [*RISING, 0.515 - 3 * 1.4826 * 0.015]),
        ([0.5, 0.5, 0.5, 0.0], [0.5, 0.5, 0.5, 0.0]),  # no scale
        ([], []),
    ],
)
def test_failures_are_raised_to_the_edge_of_the_others(
    scores: list[float], expected: list[float]
) -> None:
    """Deviations from 0.515: 0.005, 0.005, 0.015, 0.015, 0.025, 0.515; median 0.015."""
    np.testing.assert_allclose(winsorized(np.array(scores)), expected)


def test_it_says_nothing_and_leaves_optuna_s_verbosity(
    agent: StudyAgent, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("greenlet")  # without it optuna warns that GP is slower
    optuna.logging.set_verbosity(logging.INFO)
    for _ in range(2):
        agent.tell(agent.ask(10), np.arange(10.0))
    assert capfd.readouterr() == ("", "")
    assert optuna.logging.get_verbosity() == logging.INFO
