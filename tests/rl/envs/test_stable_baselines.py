"""Agents of Stable-Baselines3 learn on the environment; the examples of the documentation."""

from __future__ import annotations

import gymnasium as gym
import pytest

pytest.importorskip("stable_baselines3")

from stable_baselines3 import PPO, SAC
from stable_baselines3.common.base_class import BaseAlgorithm

START = 0.953
"""What the identity surfaces earn on the quadratic of mIoU; the best theta earns 1."""


def _env() -> gym.Env:
    return gym.make("rl:autoseg/LossSearch-v0", proxy="quadratic", normalize_action=True)


def _final_reward(agent: BaseAlgorithm, env: gym.Env) -> float:
    """What the agent's best guess, its action without noise, earns."""
    observation, _ = env.reset(seed=0)
    action, _ = agent.predict(observation, deterministic=True)
    return float(env.step(action)[1])


def test_the_start() -> None:
    env = gym.make("rl:autoseg/LossSearch-v0", proxy="quadratic")
    env.reset(seed=0)
    assert env.step(env.unwrapped.space.identity())[1] == pytest.approx(START, abs=1e-3)


@pytest.mark.parametrize("seed", [0, 1])
def test_ppo_learns_within_640_evaluations(seed: int) -> None:
    env = _env()
    agent = PPO(
        "MlpPolicy",
        env,
        n_steps=64,
        learning_rate=3e-3,
        policy_kwargs={"log_std_init": -1.0},
        seed=seed,
        device="cpu",
    )
    agent.learn(640)
    assert _final_reward(agent, env) > 0.997


def test_sac_learns_within_1000_evaluations() -> None:
    env = _env()
    agent = SAC(
        "MlpPolicy",
        env,
        learning_rate=1e-3,
        batch_size=64,
        ent_coef="auto_0.01",  # scores differ by little: a bonus for entropy of 1 would drown them
        policy_kwargs={"net_arch": [64, 64]},
        seed=0,
        device="cpu",
    )
    agent.learn(1000)
    assert _final_reward(agent, env) > 0.99
