"""The agents' skill: every one on functions whose optimum is known, over several seeds.

A run is 384 evaluations in 12 rounds of 32, from the identity. Regret is 1 - the reward of the best
candidate; random search, with the same budget, seeds and space, is the rival to beat.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest

from autoseg_core import SearchSpace
from rl.agents import Agent
from rl.agents.variants import parse_variants
from rl.proxies import make_task
from rl.proxies.known import KnownOptimum

SEEDS = range(4)
TPE_SEEDS = range(2)  # seconds each

PPO = "ppo"
MU = "ppo:baseline=mu"  # the released setting
# What the group's next paper changed, as far as it concerns the agent.
NEXT = "ppo:ratio=joint,adam=fresh,clip=0.1,warmup=0.2,sigma_final=0"

# Metric: whose surfaces are searched, mIoU's have 12 coordinates and mAcc's 6 (tpe is slow).
# Regret: of every seed, at most. Factor: random's mean regret over the agent's, at least.
# Measured over the seeds that are tested, SEEDS or TPE_SEEDS: the comment behind each row.
#
#  agent     proxy        metric  regret  factor     max regret, factor
SKILL = [
    (PPO, "quadratic", "mIoU", 0.015, 2.5),  # 0.0096, 4.2
    (PPO, "rastrigin", "mIoU", 0.145, 1.25),  # 0.128, 1.46
    (MU, "quadratic", "mIoU", 0.020, 2.0),  # 0.0128, 3.2
    (MU, "rastrigin", "mIoU", 0.150, 1.3),  # 0.131, 1.61
    (NEXT, "quadratic", "mIoU", 0.004, 12.0),  # 0.0015, 37
    (NEXT, "rastrigin", "mIoU", 0.130, 1.6),  # 0.108, 1.9
    ("cma_es", "quadratic", "mIoU", 0.007, 6.0),  # 0.0037, 13
    ("cma_es", "rastrigin", "mIoU", 0.135, 1.3),  # 0.118, 1.6
    ("tpe", "quadratic", "mAcc", 0.001, 30.0),  # 0.0002, 62
    ("tpe", "rastrigin", "mAcc", 0.060, 2.5),  # 0.029, 4.6
]

# The agent's own best guess on `quadratic`: root mean square error of a coordinate, of every seed.
# MU has no row: its worst, 0.183, is almost as far away as the identity, 0.218.
DISTANCES = [
    (PPO, "mIoU", 0.11),  # 0.088
    (NEXT, "mIoU", 0.16),  # 0.122
    ("cma_es", "mIoU", 0.06),  # 0.038
    ("tpe", "mAcc", 0.03),  # 0.014
]


@functools.cache
def _task(proxy: str, metric: str) -> tuple[KnownOptimum, np.ndarray]:
    task, space = make_task(proxy, None, SearchSpace(metric))
    assert isinstance(task, KnownOptimum)
    return task, space.identity()


def _play(agent: Agent, task: KnownOptimum, rounds: int, samples: int) -> float:
    """The best reward."""
    best = 0.0
    for index in range(rounds):
        thetas = agent.ask(samples)
        rewards = np.array([task.evaluate(theta, index).reward for theta in thetas])
        agent.tell(thetas, rewards)
        best = max(best, rewards.max())
    return best


@functools.cache
def _finals(agent: str, proxy: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """(K,) regret of the best candidate and (K,) distance of the mean, one a seed."""
    if agent == "tpe":
        pytest.importorskip("optuna")
    task, identity = _task(proxy, metric)
    (variant,) = parse_variants(agent)
    regrets, distances = [], []
    for seed in TPE_SEEDS if agent == "tpe" else SEEDS:
        one = variant.make(identity, seed, rounds=12)
        regrets.append(1.0 - _play(one, task, 12, 32))
        distances.append(np.sqrt(np.mean((one.mean - task.optimum) ** 2)))
    return np.array(regrets), np.array(distances)


@pytest.mark.parametrize(("agent", "proxy", "metric", "regret", "factor"), SKILL)
def test_reaches_the_stated_regret_and_beats_random(
    agent: str, proxy: str, metric: str, regret: float, factor: float
) -> None:
    ours, _ = _finals(agent, proxy, metric)
    random = _finals("random", proxy, metric)[0][: ours.size]  # under the same seeds
    assert ours.max() < regret
    assert random.mean() > factor * ours.mean()
    assert np.all(ours < random)  # seed by seed


@pytest.mark.parametrize(("agent", "metric", "distance"), DISTANCES)
def test_its_best_guess_comes_near_the_optimum(agent: str, metric: str, distance: float) -> None:
    _, distances = _finals(agent, "quadratic", metric)
    assert distances.max() < distance


@pytest.mark.parametrize(("proxy", "factor"), [("quadratic", 1.4), ("rastrigin", 1.5)])  # 1.8, 1.9
def test_the_best_guess_of_the_released_baseline_is_worse(proxy: str, factor: float) -> None:
    """Its mean distance is so many times that of the default."""
    released, ours = _finals(MU, proxy, "mIoU"), _finals(PPO, proxy, "mIoU")
    assert released[1].mean() > factor * ours[1].mean()


# Two peaks: the identity lies on the slope of the lower one, whose top has regret 0.3.


@pytest.mark.parametrize("metric", ["mIoU", "mAcc"])
@pytest.mark.parametrize("agent", [PPO, NEXT, "cma_es"])
def test_who_follows_the_slope_ends_on_the_wrong_peak(agent: str, metric: str) -> None:
    ours, _ = _finals(agent, "two_peaks", metric)
    assert np.all((ours > 0.295) & (ours < 0.335))


@pytest.mark.parametrize("agent", [PPO, NEXT, "cma_es"])
def test_in_few_dimensions_random_search_beats_who_starts_wrong(agent: str) -> None:
    random, ours = _finals("random", "two_peaks", "mAcc"), _finals(agent, "two_peaks", "mAcc")
    assert random[0].mean() < ours[0].mean()
    # In 12 it does not: 384 uniform thetas do not find the narrow peak.
    random, ours = _finals("random", "two_peaks", "mIoU"), _finals(agent, "two_peaks", "mIoU")
    assert random[0].mean() > ours[0].mean()


def test_tpe_gets_away_from_the_wrong_peak() -> None:
    ours, _ = _finals("tpe", "two_peaks", "mAcc")
    assert ours.min() < 0.02  # 0.005: in one of two seeds the top of the right one


def test_gp_needs_a_sixth_of_the_evaluations() -> None:
    """Regret 0.000005 after 64, where TPE ends with 0.0002 after 384."""
    pytest.importorskip("optuna")
    task, identity = _task("quadratic", "mAcc")
    (variant,) = parse_variants("gp")
    assert 1.0 - _play(variant.make(identity, 0, rounds=8), task, 8, 8) < 0.0002


@pytest.mark.parametrize("agent", [PPO, NEXT, "cma_es"])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_start_is_what_decides(agent: str, seed: int) -> None:
    # The same search from the slope of the right peak: 0.15 away in every coordinate, worth 0.75.
    task, _ = _task("two_peaks", "mIoU")
    start = task.optimum + np.where(task.optimum > 0.5, -0.15, 0.15)
    (variant,) = parse_variants(agent)
    assert _play(variant.make(start, seed, rounds=12), task, 12, 32) > 0.88


@pytest.mark.parametrize(("restarts", "found"), [("true", True), ("false", False)])
def test_cma_es_repairs_it_by_restarts_given_time_to_converge(restarts: str, found: bool) -> None:
    task, identity = _task("two_peaks", "mAcc")
    (variant,) = parse_variants(f"cma_es:restarts={restarts}")
    best = [_play(variant.make(identity, seed, rounds=250), task, 250, 12) for seed in SEEDS]
    assert (max(best) > 0.999) == found
    assert min(best) > 0.699
