"""TPE: what it proposes first, what it may be told, and its silence."""

from __future__ import annotations

import logging

import numpy as np
import pytest

optuna = pytest.importorskip("optuna")

from rl.agents.tpe import TPE  # noqa: E402

IDENTITY = np.array([0.2, 0.8])


def test_the_identity_comes_first() -> None:
    agent = TPE(IDENTITY, seed=0)
    thetas = agent.ask(5)
    np.testing.assert_array_equal(thetas[0], IDENTITY)
    assert len(np.unique(thetas, axis=0)) == 5
    assert not np.any(np.all(agent.ask(5) == IDENTITY, axis=1))


def test_mean_is_the_best_told() -> None:
    agent = TPE(IDENTITY, seed=0)
    np.testing.assert_array_equal(agent.mean, IDENTITY)
    thetas = agent.ask(4)
    agent.tell(thetas, np.array([0.1, 0.7, 0.7, 0.2]))
    np.testing.assert_array_equal(agent.mean, thetas[1])


def test_spread_is_that_of_the_best_tenth() -> None:
    agent = TPE(IDENTITY, seed=0)
    thetas = agent.ask(25)
    scores = np.zeros(25)
    scores[[3, 9, 20]] = [0.9, 0.8, 0.7]
    np.testing.assert_allclose(agent.spread, np.sqrt(1 / 12))
    agent.tell(thetas, scores)
    np.testing.assert_allclose(agent.spread, thetas[[3, 9, 20]].std(axis=0))


def test_it_follows_the_good_ones() -> None:
    agent = TPE(IDENTITY, seed=0)
    for _ in range(10):
        thetas = agent.ask(8)
        agent.tell(thetas, 1.0 - np.mean((thetas - [0.7, 0.3]) ** 2, axis=1))
    late = np.abs(agent.ask(8) - [0.7, 0.3]).mean()
    assert late < 0.2  # uniform thetas are 0.29 away


def test_a_round_may_be_told_in_parts_and_out_of_order() -> None:
    agent = TPE(IDENTITY, seed=0)
    thetas = agent.ask(4)
    agent.tell(thetas[2:], np.array([0.3, 0.4]))
    agent.tell(thetas[:2][::-1], np.array([0.2, 0.1]))
    np.testing.assert_array_equal(agent.mean, thetas[3])


def test_what_is_not_told_counts_as_nothing() -> None:
    """Whatever the lost ones would have earned; as running trials they would count as bad."""
    agent = TPE(IDENTITY, seed=0)
    thetas = agent.ask(6)
    agent.tell(thetas[:4], np.arange(4.0))
    agent.ask(2)
    states = [trial.state for trial in agent._study.get_trials(deepcopy=False)]
    kinds = optuna.trial.TrialState
    assert states == [kinds.COMPLETE] * 4 + [kinds.FAIL] * 2 + [kinds.RUNNING] * 2


@pytest.mark.parametrize("told", [[0, 0], [0]])
def test_news_of_what_was_not_asked_is_refused(told: list[int]) -> None:
    agent = TPE(IDENTITY, seed=0)
    thetas = agent.ask(2)
    with pytest.raises(ValueError, match="only of thetas that it was asked for and not told of"):
        for index in told:
            agent.tell(thetas[[index]], np.array([0.5]))
        agent.tell(np.array([[0.5, 0.5]]), np.array([0.5]))


@pytest.mark.parametrize("n", [0, -1])
def test_an_empty_round_is_refused(n: int) -> None:
    with pytest.raises(ValueError, match=f"n >= 1, got {n}"):
        TPE(IDENTITY, seed=0).ask(n)


def test_startup_is_checked() -> None:
    with pytest.raises(ValueError, match="startup >= 1, got 0"):
        TPE(IDENTITY, seed=0, startup=0)


def test_it_says_nothing_and_leaves_optuna_s_verbosity(
    capfd: pytest.CaptureFixture[str],
) -> None:
    optuna.logging.set_verbosity(logging.INFO)
    agent = TPE(IDENTITY, seed=0)
    agent.tell(agent.ask(3), np.arange(3.0))
    assert capfd.readouterr() == ("", "")
    assert optuna.logging.get_verbosity() == logging.INFO
